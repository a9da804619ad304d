"""The question it began with: why does a network not learn the identity?"""
