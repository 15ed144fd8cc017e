//! The bounds of a router, each at the bound and one past it.

use super::*;

const KEY: Bytes32 = Bytes32([1; 32]);

fn seen(port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new([192, 0, 2, 1].into(), port))
}

/// A provider (1) that is registered with `KEY`, an asker (2).
fn pair(limits: RouterLimits) -> (Table<u8>, PeerId, PeerId, Instant) {
    let now = Instant::now();
    let mut table = Table::new(limits);
    let (provider, asker) = (table.join(1, seen(1), now), table.join(2, seen(2), now));
    table.register(provider, KEY, true, now).unwrap();
    (table, provider, asker, now)
}

#[test]
fn datagrams_go_to_the_other_end_and_nowhere_else() {
    let (mut table, provider, asker, now) = pair(RouterLimits::default());
    let stranger = table.join(3, seen(3), now);
    let opened = table.open(asker, &KEY, false, now).unwrap();
    assert_eq!(table.forward(asker, opened.flow, 1_200, now), Ok((1, 1)));
    assert_eq!(table.forward(provider, 1, 1_200, now), Ok((2, opened.flow)));
    for (id, flow) in [(stranger, 1), (asker, 2), (provider, 7), (99, 1)] {
        assert_eq!(table.forward(id, flow, 1_200, now), Err(Dropped::Unknown));
    }
    assert_eq!(table.forward(stranger, FLOW_ECHO, 1_200, now), Ok((3, FLOW_ECHO)), "an echo goes back to its sender");
    assert_eq!(table.open(asker, &Bytes32([2; 32]), false, now).unwrap_err(), RouterRefusal::Unknown);
    assert_eq!(table.open(provider, &KEY, false, now).unwrap_err(), RouterRefusal::Malformed, "to itself");
}

#[test]
fn a_flow_ends_for_both_sides_whoever_ends_it() {
    let (mut table, provider, asker, now) = pair(RouterLimits::default());
    for ending in 0..4 {
        let mut opened = table.open(asker, &KEY, false, now).unwrap();
        let far = opened.flow;
        assert!(opened.ended.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        match ending {
            0 => table.close(asker, opened.flow),
            1 => table.close(provider, far),
            2 => table.expire(now + FLOW_IDLE_MAX),
            _ => table.leave(provider),
        }
        assert!(opened.ended.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(table.sizes().1, 0);
        assert!(table.forward(asker, opened.flow, 1, now).is_err() && table.forward(provider, far, 1, now).is_err());
    }
    assert_eq!(table.open(asker, &KEY, false, now).unwrap_err(), RouterRefusal::Unknown);
}

#[test]
fn a_flow_is_idle_only_if_nothing_comes_from_either_side() {
    let (mut table, provider, asker, now) = pair(RouterLimits::default());
    table.open(asker, &KEY, false, now).unwrap();
    table.forward(provider, 1, 1, now + FLOW_IDLE_MAX / 2).unwrap();
    table.expire(now + FLOW_IDLE_MAX);
    assert_eq!(table.sizes().1, 1);
    table.expire(now + FLOW_IDLE_MAX / 2 + FLOW_IDLE_MAX);
    assert_eq!(table.sizes().1, 0);
}

#[test]
fn a_lease_that_is_not_renewed_ends_and_flows_go_on() {
    let (mut table, provider, asker, now) = pair(RouterLimits::default());
    assert!(table.renew(provider, now + LEASE / 2));
    let end = now + LEASE / 2 + LEASE;
    let before = end - Duration::from_millis(1);
    table.expire(before);
    assert_eq!(table.sizes(), (1, 0));
    let opened = table.open(asker, &KEY, false, before).unwrap();
    table.expire(end);
    assert_eq!(table.sizes(), (0, 1));
    assert!(!table.renew(provider, end), "it must register again");
    assert_eq!(table.forward(asker, opened.flow, 1, end), Ok((1, 1)));
    assert_eq!(table.open(asker, &KEY, false, end).unwrap_err(), RouterRefusal::Unknown);
    table.register(provider, KEY, true, end).unwrap();
}

#[test]
fn the_newest_registration_of_a_key_holds() {
    let (mut table, provider, asker, now) = pair(RouterLimits::default());
    let newer = table.join(4, seen(4), now);
    assert_eq!(table.register(newer, KEY, false, now).unwrap().replaced, Some(1));
    let opened = table.open(asker, &KEY, false, now).unwrap();
    assert_eq!(table.forward(asker, opened.flow, 1, now), Ok((4, 1)));
    table.leave(provider);
    assert_eq!(table.sizes(), (1, 1), "the older one takes nothing with it");
    assert_eq!(table.register(newer, Bytes32([7; 32]), false, now).unwrap_err(), RouterRefusal::Malformed);
}

#[test]
fn registrations_and_flows_are_bounded() {
    let limits = RouterLimits { registrations: 2, flows: 3, flows_per_registration: 2, ..RouterLimits::default() };
    let (mut table, _, asker, now) = pair(limits);
    let (second, third) = (table.join(3, seen(3), now), table.join(4, seen(4), now));
    let other = Bytes32([2; 32]);
    table.register(second, other, false, now).unwrap();
    assert_eq!(table.register(third, Bytes32([3; 32]), false, now).unwrap_err(), RouterRefusal::Full);
    let flows: Vec<_> = (0..2).map(|_| table.open(asker, &KEY, false, now).unwrap()).collect();
    assert_eq!(table.open(asker, &KEY, false, now).unwrap_err(), RouterRefusal::Full, "to one key");
    table.open(asker, &other, false, now).unwrap();
    assert_eq!(table.open(asker, &other, false, now).unwrap_err(), RouterRefusal::Full, "in all");
    table.close(asker, flows[0].flow);
    table.open(asker, &other, false, now).unwrap();
}

#[test]
fn requests_are_bounded_in_time() {
    let (mut table, _, asker, now) = pair(RouterLimits::default());
    for _ in 0..REQUESTS_BURST {
        let opened = table.open(asker, &KEY, false, now).unwrap();
        table.close(asker, opened.flow);
    }
    assert_eq!(table.open(asker, &KEY, false, now).unwrap_err(), RouterRefusal::TooOften);
    table.open(asker, &KEY, false, now + Duration::from_secs(1)).unwrap();
}

#[test]
fn bytes_and_packets_are_bounded_for_flows_and_peers() {
    let some = |limits: RouterLimits, len: usize| {
        let (mut table, _, asker, now) = pair(limits);
        let flows: Vec<u32> = (0..2).map(|_| table.open(asker, &KEY, false, now).unwrap().flow).collect();
        let mut passed = [0, 0];
        for _ in 0..1_000 {
            for (passed, flow) in passed.iter_mut().zip(&flows) {
                *passed += usize::from(table.forward(asker, *flow, len, now).is_ok());
            }
        }
        passed
    };
    let limits = RouterLimits { flow_packets_per_s: 400, ..RouterLimits::default() };
    assert_eq!(some(limits, 100), [100, 100], "a quarter of a second at once");
    let limits = RouterLimits { flow_bytes_per_s: 400_000, ..RouterLimits::default() };
    assert_eq!(some(limits, 1_000), [100, 100]);
    let limits = RouterLimits { peer_packets_per_s: 400, ..RouterLimits::default() };
    assert_eq!(some(limits, 100), [50, 50]);
    let limits = RouterLimits { peer_bytes_per_s: 400_000, ..RouterLimits::default() };
    assert_eq!(some(limits, 1_000), [50, 50]);
}

#[test]
fn a_registration_has_a_quota_for_both_directions() {
    let limits = RouterLimits { registration_bytes_per_hour: 3_000, ..RouterLimits::default() };
    let (mut table, provider, asker, now) = pair(limits);
    let opened = table.open(asker, &KEY, false, now).unwrap();
    assert!(table.forward(asker, opened.flow, 1_000, now).is_ok());
    assert!(table.forward(provider, 1, 1_999, now).is_ok());
    assert_eq!(table.forward(provider, 1, 1, now), Err(Dropped::Quota));
    assert_eq!(table.open(asker, &KEY, false, now).unwrap_err(), RouterRefusal::Quota);
    table.open(asker, &KEY, false, now + QUOTA_PERIOD).unwrap();
    assert!(table.forward(provider, 1, 1_000, now + QUOTA_PERIOD).is_ok());
}

#[test]
fn two_meet_only_if_both_want_and_both_are_seen() {
    let now = Instant::now();
    for (provider_wants, asker_wants, visible) in
        [(true, true, true), (true, false, true), (false, true, true), (true, true, false)]
    {
        let mut table = Table::new(RouterLimits::default());
        let (provider, asker) = (table.join(1, seen(1), now), table.join(2, seen(2).filter(|_| visible), now));
        let mut meetings = table.register(provider, KEY, provider_wants, now).unwrap().meetings;
        let opened = table.open(asker, &KEY, asker_wants, now).unwrap();
        let both = provider_wants && asker_wants && visible;
        assert_eq!(opened.meet, seen(1).filter(|_| both));
        assert_eq!(meetings.try_recv().ok(), seen(2).filter(|_| both));
    }
}
