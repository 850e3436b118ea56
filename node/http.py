"""HTTP, to be served soon."""
class HttpServer:
    def __init__(self, run, listener): self.listener=listener
    async def run(self):
        import asyncio
        await asyncio.get_running_loop().create_future()
