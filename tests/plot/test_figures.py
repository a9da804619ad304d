"""Every figure on every kind of record: there or not, labelled, nothing overlapping or cut."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from jaxid import plot
from jaxid.core.io import encode
from jaxid.diagnosis.head_curvature import Blocks, Conditioning
from jaxid.identity.trial_results import TrialVerdict

ALL = list(plot.FIGURES)
EXPECTED = {
    "full": ALL,
    "minimal": [],
    "one_seed": [name for name in ALL if name != "remedies"],
    "no_images": [name for name in ALL if name not in ("images", "two_solutions")],
    "deep": ALL,
}
NEEDS = {
    "budget": {"budget": None},
    "dead_units": {"census": None},
    "images": {"images": None},
    "spectrum": {"conditioning": Conditioning(None, None)},
    "effective_kappa": {"conditioning": Conditioning(None, None)},
    "stability": {"well_posed": None},
    "two_solutions": {"well_posed": None},
    "remedies": {"trials": ()},
}


def test_each_figure_is_drawn_where_its_data_are_and_nowhere_else(case):
    name, diagnosis = case
    drawn = [figure for figure in ALL if plot.FIGURES[figure](diagnosis) is not None]
    assert drawn == EXPECTED[name]


def test_settings_of_matplotlib_elsewhere_do_not_reach_the_figures(sample, tmp_path):
    few = without_figures(sample.full())
    with mpl.rc_context({"text.usetex": True, "svg.fonttype": "none", "savefig.dpi": 7}):
        drawn = plot.draw(few, tmp_path / "told")
    assert list(drawn) == ["loss_curves"]
    again = plot.draw(few, tmp_path / "plain")
    for name, path in drawn.items():
        assert path.read_bytes() == again[name].read_bytes(), name


def without_figures(diagnosis):
    """All that is left to draw is the losses."""
    return replace(diagnosis, **{k: v for needed in NEEDS.values() for k, v in needed.items()})


def test_files_are_written_and_neither_data_nor_matplotlib_change(sample, tmp_path):
    diagnosis = sample.full()
    before = dict(mpl.rcParams)
    paths = plot.draw(diagnosis, tmp_path / "made")
    assert list(paths) == ALL
    assert {path.name for path in (tmp_path / "made").iterdir()} == {
        f"{figure}.{ending}" for figure in ALL for ending in ("png", "svg")
    }
    for path in paths.values():
        with Image.open(path) as image:
            assert image.width == round(plot.style.WIDTH * plot.DPI)
    assert dict(mpl.rcParams) == before
    (values, arrays), (same, others) = encode(diagnosis), encode(sample.full())
    assert values == same and arrays.keys() == others.keys()
    for key, value in others.items():
        np.testing.assert_array_equal(arrays[key], value, err_msg=key)


@pytest.mark.parametrize(("figure", "lacking"), NEEDS.items())
def test_a_figure_without_its_data_is_none(sample, figure, lacking):
    assert plot.FIGURES[figure](replace(sample.full(), **lacking)) is None


@pytest.mark.parametrize("figure", [name for name in ALL if name not in ("budget", "remedies")])
def test_a_figure_is_drawn_where_others_lack_their_data(sample, figure):
    own = NEEDS.get(figure, {})
    lacking = {k: v for needed in NEEDS.values() for k, v in needed.items() if k not in own}
    alone = replace(sample.full(), **lacking, dead=None, representation=None, moments=())
    assert plot.FIGURES[figure](alone) is not None and plot.CAPTIONS[figure](alone)


@pytest.mark.parametrize(
    ("kind", "figure"), [(kind, figure) for kind, drawn in EXPECTED.items() for figure in drawn]
)
def test_texts_are_inside_the_figure_and_apart(sample, kind, figure):
    drawn = plot.FIGURES[figure](sample.cases()[kind])
    drawn.canvas.draw()
    renderer = drawn.canvas.get_renderer()
    texts = [
        text
        for text in drawn.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text.figure is not None
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    # Ticks outside an axis' limits exist as texts but are not drawn.
    shown = {
        id(label)
        for axes in drawn.get_axes()
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis._update_ticks()
        for label in (tick.label1, tick.label2)
    }
    ticks = {
        id(label)
        for axes in drawn.get_axes()
        for axis in (axes.xaxis, axes.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for label in (tick.label1, tick.label2)
    }
    boxes = [
        box
        for text, box in zip(texts, boxes, strict=True)
        if id(text) not in ticks or id(text) in shown
    ]
    width, height = drawn.bbox.width, drawn.bbox.height
    for words, box in boxes:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1, words
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide < 2 or high < 2, f"{one!r} over {other!r}"


@pytest.mark.parametrize("figure", ALL)
def test_titles_and_axes_have_words(sample, figure):
    drawn = plot.FIGURES[figure](sample.full())
    assert len(drawn.get_suptitle()) > 10
    plain = [axes for axes in drawn.get_axes() if axes.axison and not axes.images]
    if figure not in ("images", "two_solutions"):
        assert plain and plain[-1].get_xlabel()


def test_captions_carry_the_numbers_of_the_diagnosis(sample):
    diagnosis = sample.full()
    words = plot.captions(diagnosis, ALL)
    assert "1.5 %" in words["budget"]
    assert "step 11" in words["dead_units"]
    assert "5,200" in words["effective_kappa"]
    assert "1 of 5" in words["remedies"]
    left = replace(diagnosis.budget.unexplained, share=0.25)
    other = replace(diagnosis, budget=replace(diagnosis.budget, unexplained=left))
    assert "25 %" in plot.captions(other, ["budget"])["budget"]


def test_the_budget_bars_stack_up_to_the_total(sample):
    diagnosis = sample.full()
    axes = plot.FIGURES["budget"](diagnosis).get_axes()[0]
    total, *items, left = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    place = 0.0
    for (start, width), item in zip(items, diagnosis.budget.items, strict=True):
        assert start == pytest.approx(place) and width == pytest.approx(item.loss)
        place += width
    assert place == pytest.approx(total[1])
    assert left[0] + left[1] == pytest.approx(total[1])


def test_negative_and_null_directions_are_counted_in_the_spectrum(sample):
    blocks = Blocks(np.array([[-2.0, -1e-15, 0.0, 0.5, 3.0]]), np.full(1, 1e-12))
    end = Conditioning(None, None, spectrum_end=blocks)
    drawn = plot.FIGURES["spectrum"](replace(sample.full(), conditioning=end))
    words = [text.get_text() for text in drawn.get_axes()[0].texts]
    assert "at the end: 2 positive, 2 zero, 1 negative, of 5" in words
    assert "by 6" in drawn.get_suptitle()


def test_every_block_is_split_at_its_own_threshold():
    # 1e-13 is within the first block's threshold and above the second's.
    values = np.array([[-2.0, 1e-13, 0.5], [0.0, 1e-13, 3.0]])
    found = plot.spectrum.split(Blocks(values, np.array([1e-12, 1e-14])))
    assert found.above.tolist() == [3.0, 0.5, 1e-13]
    assert (found.zero, found.negative, found.edge) == (2, 1, 1e-12)


def test_a_remedy_that_blew_up_or_reached_zero_is_shown_without_a_ratio(sample):
    full = sample.full()
    trials = list(full.trials)
    trials[0] = replace(trials[0], ratio=float("nan"), ci95=None, verdict=TrialVerdict.UNCERTAIN)
    # Float32's floor stands for 0; the axis must not stretch that far.
    trials[4] = replace(trials[4], ratio=1e-16, ci95=(1e-17, 1e-15), after=0.0)
    drawn = plot.FIGURES["remedies"](replace(full, trials=tuple(trials)))
    words = [text.get_text() for text in drawn.get_axes()[0].texts]
    assert words.count("blew up") == 1 and words.count("no ratio") == 1 and words.count("to 0") == 1
    assert drawn.get_axes()[0].get_xlim()[0] > 1e-6
    assert "leaves no loss at all" in drawn.get_suptitle()


def test_the_best_remedy_is_set_apart_only_from_others_with_the_answer_built_in(sample):
    full = sample.full()
    best = next(t for t in full.trials if t.verdict is TrialVerdict.HELPS)
    best = replace(best, name="Adam + SGD", ratio=0.1, ci95=(0.05, 0.2))
    other = replace(best, name="identity init", ratio=0.01, built_in=True)

    def title(*trials):
        drawn = plot.FIGURES["remedies"](replace(full, trials=trials))
        return " ".join(drawn.get_suptitle().split())

    assert title(best) == "Best remedy: Adam + SGD divides the loss by 10"
    said = "Adam + SGD divides the loss by 10, without building the answer in"
    assert title(other, best) == said
    # Where nothing else helps, the best is one of them itself.
    assert title(other) == "Best remedy: identity init divides the loss by 100"


def test_a_second_account_that_explodes_is_an_arrow_and_does_not_stretch_the_axis(sample):
    full = sample.full()
    total, items = full.budget.total.mean, list(full.budget.items)
    items[2] = replace(items[2], explained=1e6 * total)
    left = replace(full.budget.unexplained, loss=-1e6 * total)
    budget = replace(full.budget, items=tuple(items), unexplained=left)
    axes = plot.FIGURES["budget"](replace(full, budget=budget)).get_axes()[0]
    low, high = axes.get_xlim()
    assert low >= -2 * total and high <= 2 * total
    markers = [line.get_marker() for line in axes.get_lines()]
    assert markers.count(">") == 1 and markers.count("D") == len(items) - 1
    assert any(f"{1e6 * total:.1e}"[:3] in text.get_text() for text in axes.texts)


def test_spread_keeps_the_gap_and_moves_as_little_as_possible():
    places = plot.style.spread(np.array([0.0, 0.5, 0.51, 1.0]), 0.1)
    assert np.all(np.diff(places) >= 0.1 - 1e-12)
    np.testing.assert_allclose(places, [0.0, 0.455, 0.555, 1.0])
