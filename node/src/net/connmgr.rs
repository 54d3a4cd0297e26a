//! Which connections to close when there are too many. A plain decision, without clock or IO.

use std::time::{Duration, Instant};

use libp2p::swarm::ConnectionId;

/// One connection as the decision sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The connection.
    pub id: ConnectionId,
    /// Since when.
    pub opened: Instant,
    /// What the peer is worth; the lowest go first.
    pub value: u32,
    /// Never closed.
    pub protected: bool,
}

/// The connections to close so that `low` stay. Younger ones than `grace` and protected ones stay in any case. Among
/// equal values the youngest go first: old connections have shown that they last.
pub fn victims(
    now: Instant,
    mut candidates: Vec<Candidate>,
    low: usize,
    high: usize,
    grace: Duration,
) -> Vec<ConnectionId> {
    if candidates.len() <= high {
        return Vec::new();
    }
    let excess = candidates.len() - low;
    candidates.retain(|candidate| {
        !candidate.protected && now.saturating_duration_since(candidate.opened) >= grace
    });
    candidates.sort_by_key(|candidate| (candidate.value, std::cmp::Reverse(candidate.opened)));
    candidates
        .into_iter()
        .take(excess)
        .map(|candidate| candidate.id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_to_low_and_spares_the_protected_the_young_and_the_worthy() {
        let start = Instant::now();
        let now = start + Duration::from_secs(100);
        let grace = Duration::from_secs(20);
        let candidates: Vec<Candidate> = (0..100)
            .map(|n| Candidate {
                id: ConnectionId::new_unchecked(n),
                opened: if n < 10 { now } else { start },
                value: u32::from(n >= 95),
                protected: (10..20).contains(&n),
            })
            .collect();
        let closed = victims(now, candidates.clone(), 32, 96, grace);
        assert_eq!(closed.len(), 68);
        for n in (0..20).chain(95..100) {
            assert!(!closed.contains(&ConnectionId::new_unchecked(n)), "{n}");
        }
        assert!(victims(now, candidates, 32, 100, grace).is_empty());
    }
}
