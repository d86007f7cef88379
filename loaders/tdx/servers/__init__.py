"""The TDX quote servers: their frames, the codec, the connections, and the routes over them."""
