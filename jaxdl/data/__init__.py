"""jaxdl.data"""
