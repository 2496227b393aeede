"""jaxdl.models"""
