"""The queue, the leases and the events in the database, on SQLite and on PostgreSQL."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import URL, text

from coder_agent.engine.database import JobDatabase
from coder_agent.engine.errors import (
    JobDoesNotWait,
    KeyIsTaken,
    LeaseLost,
    NoSuchJob,
    QueueIsFull,
    StoreIsUnavailable,
)
from coder_agent.engine.leases import MOST_CRASHES, Leases
from coder_agent.engine.records import Ending, Event, NewJob
from coder_agent.engine.store import JobStore
from kitty_core.database import open_database

LIMIT = 1000
CRASHED = Ending("failed", "internal", '{"status": 500}', ('{"type":"error","code":"internal"}',))
LATE = Ending("failed", "deadline", '{"status": 504}', ('{"type":"error","code":"deadline"}',))
CANCELLED = Ending("cancelled", "cancelled", '{"status": 499}', ('{"type":"error","code":"cancelled"}',))
DONE = Ending("succeeded", "verified", '{"status": 200}', ('{"type":"complete"}',))


class Jobs:
    """A database of jobs, and what a test does with it."""

    def __init__(self, address):
        self.engine = open_database(address)
        self.database = JobDatabase(self.engine)
        self.database.prepare()
        self.store = JobStore(self.database)

    def worker(self, name="one", lease_sec=60.0, queue="default"):
        return Leases(self.database, name, lease_sec, queue)

    def submit(self, id, user="ann", limit=LIMIT, attached_sec=60.0, **fields):
        return self.store.submit(NewJob(id, user, "{}", **fields), limit, attached_sec)

    def age(self, **columns):
        """Moves times of all jobs into the past."""
        with self.engine.begin() as connection:
            for name, seconds in columns.items():
                connection.execute(text(f"UPDATE coder_jobs SET {name} = {name} - {seconds}"))

    def events(self, id, after=0):
        found, is_all = self.store.events_after(id, after)
        return [(event.id, event.data) for event in found], is_all


@pytest.fixture
def jobs(address):
    made = Jobs(address)
    yield made
    made.database.close()


def test_a_job_goes_from_the_queue_to_a_worker_to_its_end(jobs):
    job, is_new = jobs.submit("a", request_id="r", conversation_id="c", deadline_sec=30)
    assert (is_new, job.status, job.request_id, job.conversation_id) == (True, "queued", "r", "c")
    assert job.deadline_at == pytest.approx(job.created_at + 30, abs=1)
    assert jobs.store.get("a").queue_position == 1
    claim = jobs.worker().claim()
    assert (claim.job.id, claim.attempt, claim.worker, claim.state) == ("a", 1, "one", None)
    assert jobs.worker("two").claim() is None
    jobs.worker().save(claim, [Event(1, "x")], "state", "plan")
    assert jobs.store.get("a").step == "plan"
    assert jobs.events("a") == ([(1, "x")], False)
    jobs.worker().finish(claim, DONE, [Event(2, "y")])
    ended = jobs.store.get("a")
    assert (ended.status, ended.verdict, ended.answer, ended.last_event) == ("succeeded", "verified", DONE.answer, 3)
    assert ended.finished_at >= ended.started_at >= ended.created_at
    with jobs.engine.connect() as connection:
        assert connection.execute(text("SELECT state FROM coder_jobs")).scalar_one() is None, "it is needed no more"
    assert jobs.events("a", 1) == ([(2, "y"), (3, DONE.last_events[0])], True)


def test_what_is_not_there_is_said_to_be_not_there(jobs):
    jobs.submit("a", user="ann")
    for call in (
        lambda: jobs.store.get("b"),
        lambda: jobs.store.get("a", "bob"),
        lambda: jobs.store.cancel("b", CANCELLED),
        lambda: jobs.store.resume("b", LIMIT),
        lambda: jobs.store.events_after("b", 0),
    ):
        with pytest.raises(NoSuchJob):
            call()


def test_the_queue_takes_so_many_and_no_more(jobs):
    for number in range(3):
        jobs.submit(str(number), limit=3)
    with pytest.raises(QueueIsFull) as refusal:
        jobs.submit("3", limit=3)
    assert refusal.value.headers["Retry-After"]
    jobs.worker().claim()
    jobs.submit("3", limit=3)


def test_a_known_idempotency_key_gives_the_same_job_and_with_another_body_none(jobs):
    first, _ = jobs.submit("a", idempotency_key="k", body_sha256="1")
    again, is_new = jobs.submit("b", idempotency_key="k", body_sha256="1")
    assert (again.id, is_new) == (first.id, False)
    with pytest.raises(KeyIsTaken):
        jobs.submit("c", idempotency_key="k", body_sha256="2")
    other, is_new = jobs.submit("d", user="bob", idempotency_key="k", body_sha256="2")
    assert (other.id, is_new) == ("d", True)


def test_the_same_key_many_times_at_once_makes_one_job(jobs):
    start = threading.Barrier(8)

    def hand_in(number):
        start.wait()
        return jobs.submit(f"job{number}", idempotency_key="k", body_sha256="1")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(hand_in, range(8)))
    assert len({job.id for job, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1


def test_many_workers_at_once_take_each_job_up_once(jobs):
    for number in range(40):
        jobs.submit(f"job{number}", user=f"user{number % 3}")
    taken = []

    def work(name):
        leases = jobs.worker(name)
        while claim := leases.claim():
            taken.append(claim.job.id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["a", "b", "c", "d"]))
    assert Counter(taken) == Counter(f"job{number}" for number in range(40))


def test_users_take_turns_whoever_came_first(jobs):
    for number in range(4):
        jobs.submit(f"ann{number}", user="ann")
    jobs.submit("bob0", user="bob")
    leases, order = jobs.worker(), []
    for _ in range(5):
        claim = leases.claim()
        order.append(claim.job.id)
        leases.finish(claim, DONE)
    assert order == ["ann0", "bob0", "ann1", "ann2", "ann3"]


def test_queues_know_nothing_of_each_other(jobs):
    jobs.submit("small", queue="small", limit=1)
    jobs.submit("large", queue="large", limit=1)
    with pytest.raises(QueueIsFull):
        jobs.submit("more", queue="large", limit=1)
    assert (jobs.store.get("large").queue_position, jobs.store.counts("small")) == (1, {"queued": 1, "running": 0})
    assert jobs.worker().claim() is None
    leases = jobs.worker(queue="large")
    assert leases.claim().job.id == "large"
    assert leases.claim() is None
    assert jobs.store.counts("large") == {"queued": 0, "running": 1}


def test_whoever_has_fewest_running_is_next(jobs):
    for number in range(3):
        jobs.submit(f"ann{number}", user="ann")
    leases = jobs.worker()
    leases.claim()
    jobs.submit("bob0", user="bob")
    jobs.submit("bob1", user="bob")
    assert [leases.claim().job.id for _ in range(4)] == ["bob0", "ann1", "bob1", "ann2"]


def test_a_worker_that_lost_its_lease_writes_nothing_more(jobs):
    jobs.submit("a")
    slow, fast = jobs.worker("slow"), jobs.worker("fast")
    old = slow.claim()
    slow.save(old, [Event(1, "old")], "after plan", "plan")
    jobs.age(lease_until=120)
    assert fast.sweep(CRASHED, LATE, CANCELLED) == ["a"]
    new = fast.claim()
    assert (new.attempt, new.state, new.job.last_event) == (2, "after plan", 1)
    for write in (
        lambda: slow.save(old, [Event(2, "stale")], "stale", "stale"),
        lambda: slow.finish(old, DONE),
        lambda: slow.release(old),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert slow.renew(["a"]) == {}
    fast.save(new, [Event(2, "new")])
    assert jobs.events("a") == ([(1, "old"), (2, "new")], False)
    assert jobs.store.get("a").step == "plan"


def test_a_renewed_lease_is_not_swept(jobs):
    jobs.submit("a")
    leases = jobs.worker()
    leases.claim()
    jobs.age(lease_until=120)
    assert leases.renew(["a"]) == {"a": (1, False)}
    assert leases.sweep(CRASHED, LATE, CANCELLED) == []
    assert jobs.store.get("a").status == "running"


def test_what_a_worker_does_not_know_to_be_its_own_goes_back_into_the_queue(jobs):
    jobs.submit("a")
    leases = jobs.worker()
    leases.claim()
    jobs.age(lease_until=120)
    assert leases.renew([]) == {}
    assert leases.sweep(CRASHED, LATE, CANCELLED) == ["a"]
    assert jobs.store.get("a").status == "queued"


def test_an_id_that_is_there_already_is_refused(jobs):
    jobs.submit("a")
    with pytest.raises(KeyIsTaken):
        jobs.submit("a")


def test_a_job_that_workers_die_of_is_given_up(jobs):
    jobs.submit("a")
    leases = jobs.worker()
    for _ in range(MOST_CRASHES):
        assert jobs.store.get("a").status == "queued"
        leases.claim()
        jobs.age(lease_until=120)
        leases.sweep(CRASHED, LATE, CANCELLED)
    job = jobs.store.get("a")
    assert (job.status, job.answer) == ("failed", CRASHED.answer)
    assert jobs.events("a") == ([(1, CRASHED.last_events[0])], True)


def test_a_job_that_is_given_back_keeps_its_place_and_its_state(jobs):
    jobs.submit("a")
    jobs.submit("b")
    leases = jobs.worker()
    claim = leases.claim()
    leases.save(claim, [], "state", "plan")
    leases.release(claim)
    again = leases.claim()
    assert (again.job.id, again.state, again.attempt) == ("a", "state", 2)


def test_what_is_written_twice_because_its_success_was_not_told_is_there_once(jobs):
    jobs.submit("a")
    leases = jobs.worker()
    claim = leases.claim()
    for _ in range(2):
        leases.save(claim, [Event(1, "x")], "state", "plan")
    for _ in range(2):
        leases.finish(claim, DONE, [Event(2, "y")])
    assert jobs.events("a") == ([(1, "x"), (2, "y"), (3, DONE.last_events[0])], True)


def test_cancelling_ends_what_waits_and_asks_for_what_runs(jobs):
    jobs.submit("waits")
    assert jobs.store.cancel("waits", CANCELLED).status == "cancelled"
    assert jobs.events("waits") == ([(1, CANCELLED.last_events[0])], True)
    jobs.submit("runs")
    leases = jobs.worker()
    claim = leases.claim()
    assert claim.job.id == "runs"
    assert leases.to_cancel() == []
    assert jobs.store.cancel("runs", CANCELLED).status == "running"
    assert leases.to_cancel() == ["runs"]
    assert leases.renew(["runs"]) == {"runs": (1, True)}
    assert jobs.worker("two").to_cancel() == []
    leases.finish(claim, DONE)
    assert jobs.store.cancel("runs", CANCELLED).status == "succeeded", "what has ended stays as it is"


def test_a_job_whose_worker_died_while_it_was_to_be_cancelled_is_cancelled(jobs):
    jobs.submit("a")
    jobs.worker().claim()
    jobs.store.cancel("a", CANCELLED)
    jobs.age(lease_until=120)
    jobs.worker("two").sweep(CRASHED, LATE, CANCELLED)
    assert jobs.store.get("a").status == "cancelled"


def test_resuming_goes_on_with_state_and_events_and_without_a_reader(jobs):
    jobs.submit("a", deadline_sec=100, is_attached=True)
    leases = jobs.worker()
    claim = leases.claim()
    leases.save(claim, [Event(1, "x")], "state", "plan")
    with pytest.raises(JobDoesNotWait):
        jobs.store.resume("a", LIMIT)
    leases.finish(claim, CANCELLED)
    jobs.age(deadline_at=1000, attached_until=1000)
    with pytest.raises(QueueIsFull):
        jobs.store.resume("a", 0)
    resumed = jobs.store.resume("a", LIMIT)
    assert (resumed.status, resumed.answer, resumed.finished_at, resumed.verdict) == ("queued", None, None, None)
    assert (resumed.resumes, resumed.is_told) == (1, False)
    assert leases.sweep(CRASHED, LATE, CANCELLED) == [], "its deadline counts anew, and nobody has to wait for it"
    again = leases.claim()
    assert (again.state, again.job.last_event) == ("state", 2)
    leases.finish(again, DONE)
    assert [data for _, data in jobs.events("a")[0]] == ["x", CANCELLED.last_events[0], DONE.last_events[0]]
    with pytest.raises(JobDoesNotWait):
        jobs.store.resume("a", LIMIT)


def test_the_deadline_passes_in_the_queue_too(jobs):
    jobs.submit("late", deadline_sec=10)
    jobs.submit("whenever")
    jobs.age(deadline_at=20)
    assert jobs.worker().sweep(CRASHED, LATE, CANCELLED) == ["late"]
    assert jobs.store.get("late").answer == LATE.answer


def test_an_attached_job_ends_when_nobody_waits_for_it(jobs):
    jobs.submit("left", is_attached=True)
    jobs.submit("stays", is_attached=True)
    jobs.submit("posted")
    jobs.age(attached_until=120)
    jobs.store.stay(["stays"], 60)
    leases = jobs.worker()
    assert leases.sweep(CRASHED, LATE, CANCELLED) == ["left"]
    assert {job.id: job.status for job in jobs.store.newest(None, 10)} == {
        "left": "cancelled",
        "stays": "queued",
        "posted": "queued",
    }
    assert leases.claim().job.id == "stays"
    jobs.age(attached_until=120)
    leases.sweep(CRASHED, LATE, CANCELLED)
    assert leases.to_cancel() == ["stays"], "one that runs is ended by its worker"


def test_the_newest_are_listed_for_their_user_with_their_place(jobs):
    for number in range(3):
        jobs.submit(f"ann{number}", user="ann")
    jobs.submit("bob", user="bob")
    assert [(job.id, job.queue_position) for job in jobs.store.newest("ann", 2)] == [("ann2", 3), ("ann1", 2)]
    [newest] = jobs.store.newest(None, 1)
    assert (newest.id, newest.body, newest.answer) == ("bob", None, None)
    assert jobs.store.get("bob").body == "{}"
    assert jobs.store.counts("default") == {"queued": 4, "running": 0}
    jobs.worker().claim()
    assert jobs.store.counts("default") == {"queued": 3, "running": 1}


def test_events_come_in_pages(jobs):
    jobs.submit("a")
    leases = jobs.worker()
    leases.save(leases.claim(), [Event(number, str(number)) for number in range(1, 8)])
    found, is_all = jobs.store.events_after("a", 2, limit=3)
    assert ([event.id for event in found], is_all) == ([3, 4, 5], False)


def test_pruning_deletes_what_is_old_or_too_many_and_nothing_that_is_alive(jobs):
    leases = jobs.worker()
    for number in range(5):
        jobs.submit(f"ended{number}")
        claim = leases.claim()
        leases.finish(claim, DONE, [Event(1, "x")])
        assert jobs.store.untold() == [claim.job.id]
        jobs.store.told(jobs.store.get(claim.job.id))
    jobs.submit("untold")
    leases.finish(leases.claim(), DONE)
    jobs.submit("runs")
    leases.claim()
    jobs.submit("waits")
    assert jobs.store.prune(older_than_sec=1000, keep=10) == 0
    assert jobs.store.prune(older_than_sec=1000, keep=3) == 2
    assert {job.id for job in jobs.store.newest(None, 10)} == {"ended2", "ended3", "ended4", "untold", "runs", "waits"}
    with jobs.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM coder_job_events")).scalar_one() == 3 * 2 + 1
    jobs.age(finished_at=5000)
    assert jobs.store.prune(older_than_sec=1000, keep=10, at_most=2) == 2
    assert jobs.store.prune(older_than_sec=1000, keep=10) == 1
    assert {job.id for job in jobs.store.newest(None, 10)} == {"untold", "runs", "waits"}


def test_a_database_that_is_away_is_told_as_such(tmp_path):
    gone = JobDatabase(open_database(URL.create("sqlite", database=str(tmp_path / "no" / "folder.sqlite3"))))
    with pytest.raises(StoreIsUnavailable, match="database"):
        JobStore(gone).get("a")
    with pytest.raises(StoreIsUnavailable):
        gone.prepare()
