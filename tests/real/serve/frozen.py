"""A bot that says how many objects the garbage collector will never look at again."""

import gc

from trio_transports import Session, TextFrame


async def bot(session: Session) -> None:
    await session.output.send(TextFrame(text=str(gc.get_freeze_count())))
