use super::*;

#[test]
fn what_was_recorded_before_a_restart_is_not_believed_after_it() {
    let mut bench = Bench::new();
    bench.second = 100;
    let start = bench.packet(&said(START, "a", 100));
    assert!(bench.receive(&start).statement.is_some());
    let interim = bench.packet(&with(said(INTERIM, "a", 130), number(kind::ACCT_SESSION_TIME, 30)));
    bench.second = 130;
    assert!(bench.receive(&interim).statement.is_some());
    let stop = bench.packet(&said(STOP, "a", 140));
    bench.second = 140;
    assert!(bench.receive(&stop).statement.is_some());

    let heard = bench.accounting.heard();
    assert_eq!(heard["switch-1"], u64::from(WALL) + 140);
    let mut after = Bench::new();
    after.accounting.recall(&heard);
    after.second = 150;
    for recorded in [&start, &interim] {
        assert_eq!(after.receive(recorded).refusal, Some(Refusal::Superseded));
    }
    // That somebody has left is heard however late, and lets nobody in.
    assert!(matches!(after.receive(&stop).statement, Some(Statement::Stopped { .. })));
    assert_eq!(after.refusal(&said(ON, "a", 140)), Some(Refusal::Superseded));
    assert!(after.say(&said(START, "b", 141)).statement.is_some());
    assert_eq!(after.accounting.heard()["switch-1"], u64::from(WALL) + 141);
}

#[test]
fn a_client_that_does_not_date_its_packets_is_heard_after_a_restart() {
    let undated = || Client { require_event_timestamp: false, ..client() };
    let mut bench = Bench::of(undated());
    let start = without(said(START, "a", 0), kind::EVENT_TIMESTAMP);
    assert!(bench.say(&start).statement.is_some());
    assert!(bench.accounting.heard().is_empty());
}
