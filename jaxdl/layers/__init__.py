"""jaxdl.layers"""
