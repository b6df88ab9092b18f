"""A queue that tells of files in landing: it saves listings, and whatever goes wrong with it changes no row."""

import json
import time
from dataclasses import replace
from itertools import count

import boto3
import dagster as dg
import pytest
from support.buckets import bucket_world, put
from support.sizes import first
from support.worlds import catalog_of, land_all

from assets.retail import raw
from campaign.buckets import KEY, REGION, SECRET, create_client
from campaign.proxy import Plan, Proxy, plan_no_fault
from lakehouse.definitions import definitions
from lakehouse.environment import Environment
from lakehouse.orchestration import sensors
from lakehouse.storage.message_queue import MessageQueue

RATES = "Date,USD\n2010-12-0{},1.3\n"
ALL = {"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"}
_numbers = count()


def client(server: str, service: str):
    known = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
    return boto3.client(service, endpoint_url=server, **known)


class Queue:
    """A queue of the server, as those see it who send to it and who run it."""

    def __init__(self, server: str):
        self.sqs = client(server, "sqs")
        self.url = self.sqs.create_queue(QueueName=f"landing-{next(_numbers)}")["QueueUrl"]
        known = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = known["Attributes"]["QueueArn"]

    def send(self, body: object) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=self.url, MessageBody=text)

    def show(self) -> None:
        """Waits until the messages that were received and not deleted come back."""
        time.sleep(1.1)

    @property
    def left(self) -> int:
        """How many messages are in it, hidden ones too."""
        told = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(ALL))
        return sum(int(told["Attributes"][name]) for name in ALL)


@pytest.fixture(autouse=True)
def one_look(monkeypatch):
    monkeypatch.setattr(sensors, "_WATCH_SECONDS", 0)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def queue(server: str) -> Queue:
    return Queue(server)


@pytest.fixture
def here(proxy: Proxy, bucket: str, queue: Queue) -> Environment:
    """A lake of two raw tables in a bucket that tells the queue of each new object."""
    tables = catalog_of(rates=raw.fx_rates, lines=raw.invoice_lines)
    made = bucket_world(proxy.url, bucket, tables)
    notify(proxy.url, bucket, QueueConfigurations=[("QueueArn", queue.arn)])
    options = dict(made.landing.options)
    return replace(made, queue=MessageQueue(queue.url, options, hidden_seconds=1))


def notify(server: str, bucket: str, **targets) -> None:
    create_client(server).put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            kind: [{name: arn, "Events": ["s3:ObjectCreated:*"]} for name, arn in some]
            for kind, some in targets.items()
        },
    )


class Ticks:
    """The landing sensor, tick by tick."""

    def __init__(self, here: Environment, instance: dg.DagsterInstance, proxy: Proxy):
        self.here, self.instance, self.proxy = here, instance, proxy
        self.cursor, self.listed, self.reason = None, set(), ""
        self.run()  # the first one lists everything

    def run(self) -> list[set[str]]:
        """Returns the tables of each requested run."""
        ops = [request.run_config["ops"] for request in self.request()]
        return [{name for name, op in one.items() if op["config"].get("asked")} for one in ops]

    def request(self) -> list[dg.RunRequest]:
        """Returns the requested runs; `listed` are the folders that were listed."""
        defs = definitions(self.here)
        sensor = next(sensor for sensor in defs.sensors or [] if sensor.name == "landing_sensor")
        before = len(self.proxy.paths)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=defs
        ) as context:
            found = sensor(context)
        asked = [path for path in self.proxy.paths[before:] if "prefix=landing" in path]
        self.listed = {folder for folder in ("fx_rates", "invoice_lines") if folder in str(asked)}
        if isinstance(found, dg.SkipReason):
            self.reason = found.skip_message
            return []
        self.cursor = found.cursor or self.cursor
        self.reason = str(found.skip_reason and found.skip_reason.skip_message)
        return list(found.run_requests or [])


@pytest.fixture
def ticks(here, instance, proxy) -> Ticks:
    return Ticks(here, instance, proxy)


def land(here: Environment) -> int:
    """Lands as the requested run does; returns the rows of the table."""
    land_all(here)
    return here.lake.scan("raw/fx_rates").collect().height


def told_of(bucket: str, key: str, event: str = "ObjectCreated:Put") -> dict[str, object]:
    """A message in S3's form."""
    told = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": event, "s3": told}]}


def test_a_message_asks_for_a_run_of_its_table_and_no_other_folder_is_listed(here, ticks, queue):
    assert (ticks.listed, ticks.run(), ticks.listed) == ({"fx_rates", "invoice_lines"}, [], set())
    put(here, "fx_rates", "mär z+1.csv", RATES.format(1))
    assert ticks.run() == [{"land_raw_fx_rates"}]
    assert ticks.listed == {"fx_rates"}
    # The request may still be lost, so the message is kept until the next look.
    assert queue.left == 1
    assert land(here) == 1
    queue.show()
    assert (ticks.run(), queue.left, ticks.reason) == ([], 0, "nothing new in landing")


def test_a_file_whose_message_was_lost_is_found_by_the_next_whole_listing(here, ticks, queue):
    put(here, "fx_rates", "a.csv", RATES.format(1))
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert (ticks.run(), ticks.reason) == ([], "no message about landing")
    ticks.here = replace(here, listing_seconds=0)
    assert ticks.run() == [{"land_raw_fx_rates"}]
    assert ticks.listed == {"fx_rates", "invoice_lines"}


def test_doubled_and_reordered_messages_land_each_row_once(here, ticks, queue, bucket):
    for day in (1, 2):
        put(here, "fx_rates", f"{day}.csv", RATES.format(day))
    for day in (2, 1, 2):
        queue.send(told_of(bucket, f"landing/fx_rates/{day}.csv"))
    assert (ticks.run(), land(here)) == ([{"land_raw_fx_rates"}], 2)
    queue.show()
    assert (ticks.run(), land(here)) == ([], 2)
    assert queue.left == 0


def test_messages_of_a_file_that_stays_behind_are_deleted_once_its_run_is_requested(
    here, ticks, queue
):
    put(here, "fx_rates", "a.csv", RATES.format(1))
    assert (ticks.run(), queue.left) == ([{"land_raw_fx_rates"}], 1)
    queue.show()
    assert (ticks.run(), ticks.listed, queue.left) == ([], {"fx_rates"}, 0)


def wrapped(told: object) -> dict[str, object]:
    return {"Type": "Notification", "TopicArn": "arn:…", "Message": json.dumps(told)}


def as_minio_tells(bucket: str) -> dict[str, object]:
    told = told_of(bucket, "landing%2Ffx_rates%2Fa+b.csv", "s3:ObjectCreated:Put")
    return {
        "EventName": "s3:ObjectCreated:Put",
        "Key": f"{bucket}/landing/fx_rates/a b.csv",
        **told,
    }


def as_the_bus_tells(bucket: str) -> dict[str, object]:
    detail = {"bucket": {"name": bucket}, "object": {"key": "landing/fx_rates/a b+%41.csv"}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


FORMS = [
    as_minio_tells,
    as_the_bus_tells,
    lambda bucket: wrapped(told_of(bucket, "landing/fx_rates/a.csv")),
    lambda bucket: wrapped(wrapped(as_the_bus_tells(bucket))),
    lambda bucket: told_of(bucket, "landing/fx_rates/refused.csv", "ObjectRemoved:Delete"),
]


def test_each_form_of_message_names_the_folder_to_list(ticks, queue, bucket):
    for tell in FORMS:
        queue.send(tell(bucket))
        assert (ticks.run(), ticks.listed, queue.left) == ([], {"fx_rates"}, 0)


@pytest.mark.full
def test_messages_come_by_a_topic_too(here, proxy, bucket, ticks, queue):
    sns = client(proxy.url, "sns")
    topic = sns.create_topic(Name=f"landing-{bucket}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    notify(proxy.url, bucket, TopicConfigurations=[("TopicArn", topic)])
    put(here, "fx_rates", "a b.csv", RATES.format(1))
    assert (ticks.run(), ticks.listed) == ([{"land_raw_fx_rates"}], {"fx_rates"})


OWN = [
    lambda bucket: {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket},
    lambda bucket: told_of(bucket, "lake/raw/fx_rates/part.parquet"),
    lambda bucket: told_of(bucket, "landing/fx_rates"),
    lambda bucket: told_of(bucket, "landing/fx_rates_2024/a.csv"),
    lambda bucket: told_of(bucket, "landing/%FF%00/a.csv"),
    lambda bucket: told_of(bucket, "landing/fx_rates/a.csv", "s3:ObjectAccessed:Get"),
]
"""Messages about the bucket of landing and no raw table."""

FOREIGN = [
    lambda _: told_of("another", "landing/fx_rates/a.csv"),
    lambda _: {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "another"},
    lambda _: "hello",
    lambda _: "{" * 100_000,
    lambda _: "[" * 100_000,
    lambda _: "1" * 10_000,
    lambda _: '"text"',
    lambda _: [],
    lambda _: {"Records": []},
    lambda _: {"Records": [None, {"s3": None}, {"s3": {"bucket": "x"}}]},
    lambda bucket: {"Records": [{"s3": {"bucket": {"name": [bucket]}, "object": 3}}]},
    lambda _: {"source": "aws.s3", "detail": []},
    lambda bucket: wrapped(wrapped(wrapped(told_of(bucket, "landing/fx_rates/a.csv")))),
    lambda _: {"Type": "Notification", "Message": {"Records": 1}},
]
"""Messages about anything else."""


def test_messages_of_the_bucket_that_name_no_raw_table_are_deleted(ticks, queue, bucket):
    for tell in OWN:
        queue.send(tell(bucket))
    assert (ticks.run(), ticks.listed, queue.left) == ([], set(), 0)


def test_other_messages_stay_in_the_queue_and_are_told_of(here, ticks, queue, bucket):
    ticks.here = replace(here, queue=MessageQueue(queue.url, here.landing.options))
    for tell in FOREIGN:
        queue.send(tell(bucket))
    put(here, "fx_rates", "a.csv", RATES.format(1))
    assert ticks.run() == [{"land_raw_fx_rates"}]
    queue.send("hello")
    assert (ticks.run(), queue.left) == ([], len(FOREIGN) + 2)
    assert ticks.reason == (
        "no message about landing; messages in the queue that are not about landing's bucket: 1; "
        "they stay there, so give landing a queue of its own"
    )


def test_without_the_queue_each_look_lists_all_of_landing_and_says_why(here, ticks, proxy):
    options, why = dict(here.landing.options), "nothing new in landing; all of landing was listed."
    for place in ("http://127.0.0.1:9/0/landing", f"{proxy.url}/123456789012/no-queue"):
        ticks.here = replace(here, queue=MessageQueue(place, options))
        assert (ticks.run(), ticks.listed) == ([], {"fx_rates", "invoice_lines"})
        assert ticks.reason.startswith(f"{why} The queue {place} does not answer: ")
        assert "LAKEHOUSE_LANDING_QUEUE" in ticks.reason
        assert SECRET not in ticks.reason
    put(here, "fx_rates", "a.csv", RATES.format(1))
    assert ticks.run() == [{"land_raw_fx_rates"}]


def plan_fault_of_queue(action: str) -> Plan:
    """Plans an error for one kind of request to the queue and nothing else."""
    return lambda asked: "500" if asked.headers.get("x-amz-target", "").endswith(action) else None


@pytest.mark.parametrize("action", first(1, ["DeleteMessageBatch", "ReceiveMessage"]))
def test_a_queue_that_fails_halfway_stops_no_tick_and_loses_no_message(
    here, ticks, proxy, queue, bucket, action
):
    behind = MessageQueue(
        queue.url.replace(proxy.upstream, proxy.url), here.landing.options, hidden_seconds=1
    )
    ticks.here = replace(here, queue=behind)
    queue.send(told_of(bucket, "landing/fx_rates/taken-away.csv"))
    proxy.plan = plan_fault_of_queue(action)
    assert (ticks.run(), queue.left) == ([], 1)
    assert f"The queue {behind.url} does not answer: " in ticks.reason
    proxy.plan = plan_no_fault
    queue.show()
    assert (ticks.run(), queue.left, ticks.reason) == ([], 0, "nothing new in landing")


@pytest.mark.full
def test_a_run_that_was_killed_is_requested_again_without_another_message(
    here, ticks, queue, instance
):
    put(here, "fx_rates", "a.csv", RATES.format(1))
    [request] = ticks.request()
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert ticks.run() == []
    job = definitions(here).resolve_job_def("ingest_job")
    run = instance.create_run_for_job(job, tags=request.tags)
    instance.report_run_failed(run)
    time.sleep(1.1)  # what was killed is tried again after a second
    assert (ticks.run(), ticks.listed) == ([{"land_raw_fx_rates"}], {"fx_rates"})


@pytest.mark.full
def test_more_messages_than_one_request_holds_are_received_at_one_look(ticks, queue, bucket):
    for number in range(23):
        queue.send(told_of(bucket, f"landing/fx_rates/{number}.csv"))
    assert (ticks.run(), ticks.listed, queue.left) == ([], {"fx_rates"}, 0)
