"""Timers for the tests of the timer listener."""

import asyncio
import json
import os
import time

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(schedule="* * * * * *", arg_name="timer")
@app.queue_output(arg_name="out", queue_name="%TICKS%", connection="AzureWebJobsStorage")
async def tick(timer: func.TimerRequest, out: func.Out[str]) -> None:
    """Take as long as configured the first time, then no time."""
    started = time.time()
    await asyncio.sleep(float(os.environ.pop("FIRST_TICK_SECONDS", "0")))
    out.set(json.dumps({**timer.to_dict(), "pid": os.getpid(), "started": started}))  # type: ignore[no-untyped-call]


@app.timer_trigger(schedule="%YEARLY%", arg_name="timer")
@app.queue_output(arg_name="out", queue_name="%MISSED%", connection="AzureWebJobsStorage")
async def yearly(timer: func.TimerRequest, out: func.Out[str]) -> None:
    """Run once a year."""
    out.set(json.dumps(timer.to_dict()))  # type: ignore[no-untyped-call]
