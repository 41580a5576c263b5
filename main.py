"""The Cloud Function: a pushed message → envelope → decoder → sink → acknowledge or retry."""

import asyncio
import gc
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import functions_framework.aio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

import envelope
import logs
import push
from decoder.catalog import load_catalog
from decoder.dead_letters import DeadLetterRow, dead_letter_of_bytes, dead_letter_of_record, fit, identity
from decoder.registry import MissingSchemaError
from decoder.rows import event_row, insert_id
from decoder.streams import DEAD_LETTERS
from envelope import Envelope, Record
from logs import fields, log
from rejection import Reason, RejectedError, TransientError
from sink.batch import MAX_ROW_BYTES, Outcome, Room, Row, TurnedAwayError
from sink.bigquery import Table, make_row
from sink.limits import load_limits
from sink.writer import Writer

# Around a dead letter's columns: the insertId and the names of both.
FRAME_BYTES = 1_000
# The largest request that Cloud Run lets through, of one that does not say its length.
# https://cloud.google.com/run/quotas#request_limits
MAX_REQUEST_BYTES = 32 * 2**20


def _connect(table: str) -> Table:
    # In the worker, with the first row: a cold start does not wait for google-auth and urllib3.
    from sink.connect import connect  # noqa: PLC0415

    return connect(table)


logs.set_up()
catalog = load_catalog()  # at import: a wrong catalogue stops the deployment, not the events
limits, max_waiting_bytes = load_limits(os.environ)  # and so does a wrong setting
writer = Writer(_connect, limits, Room(max_waiting_bytes))
requests_room = Room(max_waiting_bytes)
# What is here now stays, and what a request makes has no cycles: the collector need not look for them at
# every few hundred objects while hundreds of requests wait. It took a third of the CPU (make bench-function).
gc.freeze()
gc.set_threshold(50_000, 20, 20)

ACKNOWLEDGED = Response(status_code=204)
RETRY = Response(status_code=503, headers={"Retry-After": "10"})
FAILED = Response(status_code=500)
NOT_A_PUSH = Response(status_code=405, headers={"Allow": "POST"})


@functions_framework.aio.http
async def handle(request: Request) -> Response:
    """Answer 204 when every record of the message is a row or a dead letter, 503 to be sent it again."""
    if request.method != "POST":
        return NOT_A_PUSH
    headers = dict(request.scope["headers"])
    logs.headers.set(headers)
    size = _length(headers)
    if not requests_room.take(size):
        return RETRY  # before the body is read: what waits already is as much as memory is meant for
    try:
        await keep(headers.get(b"content-type", b"").decode("latin-1"), await request.body())
    except ClientDisconnect:
        return RETRY  # it went away before its body was here, and comes again
    except TransientError as error:
        error.__traceback__ = None  # it holds the frames that hold it: a cycle with the whole message in it
        return RETRY
    except Exception as error:  # noqa: BLE001 - the outermost edge: a bug must be seen, and not acknowledged
        log.error("handle failed: %s", logs.stack(error))
        return FAILED
    finally:
        requests_room.give_back(size)
    return ACKNOWLEDGED


def _length(headers: Mapping[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else MAX_REQUEST_BYTES


async def keep(content_type: str, body: bytes) -> None:
    """Return when each record in the request is in its table or in dead_letters.

    Raises:
        TransientError: one of them is in neither.
    """
    try:
        delivery = push.receive(content_type, body)
    except push.MalformedRequestError as error:
        await _keep_bytes(body, error, message_id=None, attributes=None)
        return
    try:
        opened = envelope.unpack(delivery.message)
    except envelope.MalformedEnvelopeError as error:
        await _keep_bytes(
            delivery.message.data,
            error,
            message_id=delivery.message_id,
            attributes=delivery.message.attributes,
        )
        return
    try:
        await _keep_records(opened, delivery.message_id)
    except TransientError as error:
        _log_retry(error, delivery.message_id, opened.records[0] if opened.records else None)
        raise


async def _keep_records(opened: Envelope, message_id: str) -> None:
    """Write the rows of one message together, then what was refused as dead letters."""
    now = time.time_ns()
    records: defaultdict[str, list[Record]] = defaultdict(list)
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    # Not the rejections: a traceback holds this frame, and with it the message, until the collector comes.
    rejected: list[tuple[DeadLetterRow, Record]] = []
    for record in opened.records:
        try:
            try:
                table, columns = event_row(record, opened.env, catalog, now, opened.replayed_at)
            except MissingSchemaError as missing:
                await missing.registry.look_up(missing.key)
                table, columns = event_row(record, opened.env, catalog, now, opened.replayed_at)
        except RejectedError as rejection:
            rejected.append((_dead_letter(record, rejection, opened, message_id, now), record))
            continue
        records[table].append(record)
        rows[table].append(make_row(insert_id(record), columns, record.timestamp))
    later: TransientError | None = None
    for table, outcomes in zip(rows, await _write(rows), strict=True):
        for record, outcome in zip(records[table], outcomes, strict=True):
            if isinstance(outcome, RejectedError):
                rejected.append((_dead_letter(record, outcome, opened, message_id, now), record))
            elif outcome is not None:
                later = outcome
    if rejected:
        await _keep_dead_letters(rejected)
    if later is not None:
        raise later


def _dead_letter(
    record: Record, rejection: RejectedError, opened: Envelope, message_id: str, now_ns: int
) -> DeadLetterRow:
    dead_letter = dead_letter_of_record(
        record,
        rejection,
        env=opened.env,
        message_id=message_id,
        stream=catalog.stream_of_topic.get(record.topic),
        now_ns=now_ns,
    )
    if opened.replayed_at is not None:
        dead_letter = msgspec.structs.replace(dead_letter, replayed_at=opened.replayed_at)
    return dead_letter


async def _write(rows: dict[str, list[Row]]) -> Sequence[Sequence[Outcome]]:
    if len(rows) == 1:
        ((table, its_rows),) = rows.items()
        return [await writer.write(table, its_rows)]
    return await asyncio.gather(*(writer.write(table, its_rows) for table, its_rows in rows.items()))


async def _keep_bytes(
    data: bytes, error: ValueError, *, message_id: str | None, attributes: dict[str, str] | None
) -> None:
    rejection = RejectedError(Reason.MALFORMED_ENVELOPE, str(error))
    dead_letter = dead_letter_of_bytes(
        data, rejection, message_id=message_id, attributes=attributes, now_ns=time.time_ns()
    )
    try:
        await _keep_dead_letters([(dead_letter, None)])
    except TransientError as retry:
        _log_retry(retry, message_id, None)
        raise


async def _keep_dead_letters(dead_letters: Sequence[tuple[DeadLetterRow, Record | None]]) -> None:
    """Write the dead letters together.

    Raises:
        TransientError: one was not taken, or cannot hold the bytes.
    """
    rows = []
    is_complete = True
    for dead_letter, record in dead_letters:
        columns, complete = fit(dead_letter, MAX_ROW_BYTES - FRAME_BYTES)
        is_complete &= complete
        rows.append(make_row(identity(dead_letter, record), msgspec.Raw(columns)))
    outcomes = await writer.write(DEAD_LETTERS, rows)
    for (dead_letter, _), outcome in zip(dead_letters, outcomes, strict=True):
        if outcome is None:
            _log(dead_letter)
    for outcome in outcomes:
        if isinstance(outcome, RejectedError):
            # Without its text, which may repeat a value: this one is logged.
            raise TransientError("BigQuery refused the row of a dead letter")
        if outcome is not None:
            raise outcome
    if not is_complete:
        # Not acknowledged, so that Pub/Sub moves it to the dead-letter topic with all its bytes.
        raise TransientError(f"a row of {DEAD_LETTERS} cannot hold the bytes: left to the dead-letter topic")


def _log(dead_letter: DeadLetterRow) -> None:
    log.warning(
        "dead letter: %s",
        dead_letter.reason,
        extra=fields(
            reason=dead_letter.reason,
            stream=dead_letter.stream,
            message_id=dead_letter.message_id,
            kafka_topic=dead_letter.kafka_topic,
            kafka_partition=dead_letter.kafka_partition,
            kafka_offset=dead_letter.kafka_offset,
        ),
    )


def _log_retry(error: TransientError, message_id: str | None, first: Record | None) -> None:
    """Say why a message will come again, with the position of its first record."""
    if isinstance(error, TurnedAwayError):
        return  # the table's own line says why, once and not for each message
    values: dict[str, object] = {"message_id": message_id}
    if first is not None:
        values |= {
            "kafka_topic": first.topic,
            "kafka_partition": first.partition,
            "kafka_offset": str(first.offset),
        }
    log.warning("not acknowledged: %s", error, extra=fields(**values))
