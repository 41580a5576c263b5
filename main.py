"""The Cloud Function: a pushed message → envelope → decoder → sink → acknowledge or retry."""

import asyncio
import time

import functions_framework.aio
import msgspec
from starlette.requests import Request
from starlette.responses import Response

import envelope
import logs
import push
from decoder.catalog import load_catalog
from decoder.dead_letters import DeadLetterRow, dead_letter_of_bytes, dead_letter_of_record, fit, identity
from decoder.rows import event_row, insert_id
from decoder.streams import DEAD_LETTERS
from logs import fields, log
from rejection import Reason, RejectedError
from sink import bigquery
from sink.batch import MAX_ROW_BYTES, Row, TransientError
from sink.writer import Writer

logs.set_up()
catalog = load_catalog()  # at import: a wrong catalogue stops the deployment, not the events
writer = Writer(bigquery.connect)

ACKNOWLEDGED = Response(status_code=204)
RETRY = Response(status_code=503, headers={"Retry-After": "10"})
NOT_A_PUSH = Response(status_code=405, headers={"Allow": "POST"})


@functions_framework.aio.http
async def handle(request: Request) -> Response:
    """Answer 204 when every record of the message is a row or a dead letter, 503 to be sent it again."""
    if request.method != "POST":
        return NOT_A_PUSH
    body = await request.body()
    try:
        await keep(request.headers.get("content-type", ""), body)
    except TransientError as error:
        log.warning("not acknowledged: %s", error)
        return RETRY
    return ACKNOWLEDGED


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
    if len(opened.records) == 1:
        await _keep_record(opened.records[0], opened.env, delivery.message_id)
        return
    outcomes = await asyncio.gather(
        *(_keep_record(record, opened.env, delivery.message_id) for record in opened.records),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _keep_record(record: envelope.Record, env: str | None, message_id: str) -> None:
    now = time.time_ns()
    try:
        table, row = event_row(record, env, catalog, now)
        await writer.write(table, Row(insert_id(record), msgspec.json.encode(row)))
    except RejectedError as rejection:
        stream = catalog.stream_of_topic.get(record.topic)
        dead_letter = dead_letter_of_record(
            record, rejection, env=env, message_id=message_id, stream=stream, now_ns=now
        )
        await _keep_dead_letter(dead_letter, record)


async def _keep_bytes(
    data: bytes, error: ValueError, *, message_id: str | None, attributes: dict[str, str] | None
) -> None:
    rejection = RejectedError(Reason.MALFORMED_ENVELOPE, str(error))
    dead_letter = dead_letter_of_bytes(
        data, rejection, message_id=message_id, attributes=attributes, now_ns=time.time_ns()
    )
    await _keep_dead_letter(dead_letter, None)


async def _keep_dead_letter(dead_letter: DeadLetterRow, record: envelope.Record | None) -> None:
    body, complete = fit(dead_letter, MAX_ROW_BYTES)
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
    try:
        await writer.write(DEAD_LETTERS, Row(identity(dead_letter, record), body))
    except RejectedError as error:
        raise TransientError(f"BigQuery refused the row of a dead letter: {error}") from error
    if not complete:
        # Not acknowledged, so that Pub/Sub moves it to the dead-letter topic with all its bytes.
        raise TransientError(f"a row of {DEAD_LETTERS} cannot hold the bytes: left to the dead-letter topic")
