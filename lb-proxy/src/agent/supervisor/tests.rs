use super::*;
use crate::agent::restarts::Limit;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const PATIENCE: Patience = Patience {
    ready: secs(60),
    drain: Duration::ZERO,
    finish: Duration::from_millis(500),
    grace: secs(10),
    watchdog: None,
};

const DIED: Event = Event::Ended(End::Code(1));
const TERM: Event = Event::Asked(Signal::TERM);

/// A supervisor and its clock.
struct Fixture {
    supervisor: Supervisor,
    now: Instant,
}

impl Fixture {
    fn new(patience: Patience, limit: Option<Limit>) -> Self {
        let now = Instant::now();
        Self { supervisor: Supervisor::new(patience, Restarts::new(limit), now), now }
    }

    /// One whose app takes requests.
    fn serving(patience: Patience, limit: Option<Limit>) -> Self {
        let mut fixture = Self::new(patience, limit);
        assert_eq!(fixture.tick(), [Action::Start]);
        assert_eq!(fixture.handle(Event::Started), []);
        assert_eq!(fixture.handle(Event::Ready), [Action::Say(State::Up)]);
        fixture
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        self.supervisor.handle(event, self.now)
    }

    fn tick(&mut self) -> Vec<Action> {
        self.supervisor.tick(self.now)
    }

    /// Goes on to when something is due, and says after how long.
    fn wait(&mut self) -> (Duration, Vec<Action>) {
        let due = self.supervisor.due().unwrap();
        let waited = due - self.now;
        self.now = due;
        (waited, self.tick())
    }
}

#[test]
fn an_app_is_announced_once_it_is_ready_and_not_before() {
    let mut fixture = Fixture::new(PATIENCE, None);
    assert_eq!(fixture.tick(), [Action::Start]);
    assert_eq!(fixture.handle(Event::Started), []);
    assert_eq!(fixture.handle(Event::Checked(true)), []);
    assert_eq!(fixture.handle(Event::Ready), [Action::Say(State::Up)]);
    assert_eq!(fixture.supervisor.due(), None);
}

#[test]
fn after_a_death_the_goodbye_comes_first_and_then_the_restart() {
    let mut fixture = Fixture::serving(PATIENCE, None);
    assert_eq!(fixture.handle(DIED), [Action::Say(State::Down)]);
    assert_eq!(fixture.wait(), (secs(1), vec![Action::Start]));
    fixture.handle(Event::Started);
    // Who was never announced need not say goodbye.
    assert_eq!(fixture.handle(DIED), []);
    assert_eq!(fixture.wait(), (secs(2), vec![Action::Start]));
}

#[test]
fn what_ends_too_often_ends_the_agent_with_its_code() {
    let once = Limit { count: 1, within: secs(600) };
    for (end, code) in [(End::Code(3), 3), (End::Signal(9), 137)] {
        let mut fixture = Fixture::serving(PATIENCE, Some(once));
        fixture.handle(DIED);
        assert_eq!(fixture.wait().1, [Action::Start]);
        fixture.handle(Event::Started);
        assert_eq!(fixture.handle(Event::Ended(end)), [Action::End(code)]);
        assert_eq!(fixture.supervisor.due(), None);
    }
}

#[test]
fn a_signal_is_passed_on_after_the_goodbye_and_death_by_it_is_no_failure() {
    let signals = [Signal::TERM, Signal::INT, Signal::QUIT];
    for signal in signals {
        let mut fixture = Fixture::serving(PATIENCE, None);
        assert_eq!(fixture.handle(Event::Asked(signal)), [Action::Say(State::Down)]);
        assert_eq!(fixture.wait(), (PATIENCE.finish, vec![Action::Signal(signal)]));
        let raw = u8::try_from(signal.as_raw()).unwrap();
        assert_eq!(fixture.handle(Event::Ended(End::Signal(raw))), [Action::End(0)]);
    }
}

#[test]
fn an_app_that_does_not_end_in_its_time_is_killed_unless_it_was_told_to_quit() {
    let mut fixture = Fixture::serving(PATIENCE, None);
    fixture.handle(TERM);
    fixture.wait();
    assert_eq!(fixture.wait(), (secs(10), vec![Action::Kill]));
    assert_eq!(fixture.handle(Event::Ended(End::Signal(9))), [Action::End(137)]);

    let mut fixture = Fixture::serving(PATIENCE, None);
    fixture.handle(Event::Asked(Signal::QUIT));
    fixture.wait();
    assert_eq!(fixture.supervisor.due(), None);
}

#[test]
fn a_second_signal_waits_for_nothing() {
    let mut fixture = Fixture::serving(Patience { drain: secs(30), ..PATIENCE }, None);
    assert_eq!(fixture.handle(TERM), [Action::Say(State::Draining)]);
    let insisted = fixture.handle(Event::Asked(Signal::INT));
    assert_eq!(insisted, [Action::Say(State::Down), Action::Kill]);
    assert_eq!(fixture.handle(Event::Ended(End::Signal(9))), [Action::End(137)]);
}

#[test]
fn a_drain_comes_before_the_goodbye_and_what_is_in_flight_after_it() {
    let mut fixture = Fixture::serving(Patience { drain: secs(30), ..PATIENCE }, None);
    assert_eq!(fixture.handle(TERM), [Action::Say(State::Draining)]);
    assert_eq!(fixture.wait(), (secs(30), vec![Action::Say(State::Down)]));
    assert_eq!(fixture.wait(), (PATIENCE.finish, vec![Action::Signal(Signal::TERM)]));
    assert_eq!(fixture.handle(Event::Ended(End::Code(0))), [Action::End(0)]);
}

#[test]
fn an_app_that_dies_while_it_drains_is_not_started_again() {
    let mut fixture = Fixture::serving(Patience { drain: secs(30), ..PATIENCE }, None);
    fixture.handle(TERM);
    assert_eq!(fixture.handle(DIED), [Action::Say(State::Down), Action::End(1)]);
}

#[test]
fn an_agent_whose_app_rests_or_starts_ends_without_a_goodbye() {
    let mut resting = Fixture::serving(PATIENCE, None);
    resting.handle(DIED);
    assert_eq!(resting.handle(TERM), [Action::End(1)]);

    let mut starting = Fixture::new(PATIENCE, None);
    starting.tick();
    starting.handle(Event::Started);
    assert_eq!(starting.handle(TERM), [Action::Signal(Signal::TERM)]);
}

#[test]
fn an_app_that_does_not_get_ready_is_ended_and_started_again() {
    let mut fixture = Fixture::new(PATIENCE, None);
    fixture.tick();
    fixture.handle(Event::Started);
    assert_eq!(fixture.wait(), (secs(60), vec![Action::Signal(Signal::TERM)]));
    assert_eq!(fixture.wait(), (secs(10), vec![Action::Kill]));
    assert_eq!(fixture.handle(Event::Ended(End::Signal(9))), []);
    assert_eq!(fixture.wait().1, [Action::Start]);
}

#[test]
fn two_checks_in_a_row_decide_whether_it_is_announced() {
    let mut fixture = Fixture::serving(PATIENCE, None);
    for well in [false, true, false] {
        assert_eq!(fixture.handle(Event::Checked(well)), []);
    }
    assert_eq!(fixture.handle(Event::Checked(false)), [Action::Say(State::Down)]);
    assert_eq!(fixture.handle(Event::Checked(false)), []);
    assert_eq!(fixture.handle(Event::Checked(true)), []);
    assert_eq!(fixture.handle(Event::Checked(true)), [Action::Say(State::Up)]);
    // One that is not announced has nothing to say goodbye for.
    fixture.handle(Event::Checked(false));
    fixture.handle(Event::Checked(false));
    assert_eq!(fixture.handle(TERM), [Action::Signal(Signal::TERM)]);
}

#[test]
fn an_app_that_says_it_is_leaving_is_believed_and_not_announced_again() {
    let mut fixture = Fixture::serving(PATIENCE, None);
    assert_eq!(fixture.handle(Event::Leaving), [Action::Say(State::Down)]);
    assert_eq!(fixture.handle(Event::Checked(true)), []);
    assert!(!fixture.supervisor.checks());
    assert_eq!(fixture.handle(Event::Ended(End::Code(0))), []);
    assert_eq!(fixture.wait().1, [Action::Start]);
}

#[test]
fn an_app_that_does_not_say_that_it_is_alive_is_aborted() {
    let patience = Patience { watchdog: Some(secs(4)), ..PATIENCE };
    let mut fixture = Fixture::serving(patience, None);
    fixture.now += secs(3);
    assert_eq!(fixture.handle(Event::Alive), []);
    let said = vec![Action::Say(State::Down), Action::Signal(Signal::ABORT)];
    assert_eq!(fixture.wait(), (secs(4), said));
    assert_eq!(fixture.wait(), (secs(10), vec![Action::Kill]));
}

#[test]
fn an_app_that_cannot_be_started_is_tried_again_later_and_later() {
    let mut fixture = Fixture::new(PATIENCE, None);
    for wait in [1, 2, 4] {
        assert_eq!(fixture.tick(), [Action::Start]);
        assert_eq!(fixture.handle(Event::Ended(End::Code(127))), []);
        let due = fixture.supervisor.due().unwrap();
        assert_eq!(due - fixture.now, secs(wait));
        fixture.now = due;
    }
}
