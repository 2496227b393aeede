"""jaxdl.training"""
