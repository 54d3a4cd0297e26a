//! Which protocol a stream has agreed on, read from the negotiation as it passes (multistream-select 1.0).
//!
//! Whoever opens the stream proposes, and the other side repeats the proposal that it takes.

/// Longest line that is looked at; protocol names are shorter.
const LINE_MAX: usize = 256;

/// Proposals of one stream that are remembered.
const PROPOSALS_MAX: usize = 32;

const HEADER: &str = "/multistream/1.0.0";
const REFUSAL: &str = "na";

/// What is known so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not agreed yet.
    Open,
    /// Agreed.
    Agreed(Box<str>),
    /// This is no negotiation that can be followed.
    Unknown,
}

/// Follows one stream.
pub struct Negotiation {
    inbound: bool,
    answers: Lines,
    proposals: Lines,
    proposed: Vec<Box<str>>,
}

impl Negotiation {
    /// A stream that the peer opened, or that this node did.
    pub fn new(inbound: bool) -> Self {
        Self {
            inbound,
            answers: Lines::default(),
            proposals: Lines::default(),
            proposed: Vec::new(),
        }
    }

    /// Bytes that the peer sent.
    pub fn handle_received(&mut self, bytes: &[u8]) -> Outcome {
        if self.inbound {
            // What the peer proposes shows in what this node answers.
            Outcome::Open
        } else {
            self.handle_answers(bytes)
        }
    }

    /// Bytes that this node sent.
    pub fn handle_sent(&mut self, bytes: &[u8]) -> Outcome {
        if self.inbound {
            return self.handle_answers(bytes);
        }
        let proposed = &mut self.proposed;
        // With a single proposal the data may follow at once; that it is no line does not matter.
        self.proposals.feed(bytes, |line| {
            if line != HEADER && proposed.len() < PROPOSALS_MAX {
                proposed.push(line.into());
            }
            true
        });
        Outcome::Open
    }

    fn handle_answers(&mut self, bytes: &[u8]) -> Outcome {
        let mut agreed = None;
        let followed = self.answers.feed(bytes, |line| {
            if line == HEADER || line == REFUSAL {
                return true;
            }
            agreed = Some(Box::<str>::from(line));
            false
        });
        match agreed {
            // A peer could name anything: it counts only if this node proposed it.
            Some(name) if self.inbound || self.proposed.contains(&name) => Outcome::Agreed(name),
            None if followed => Outcome::Open,
            _ => Outcome::Unknown,
        }
    }
}

/// Cuts bytes into lines: a length of one or two bytes, the text, a newline.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    broken: bool,
}

impl Lines {
    /// Hands on each line that is complete, until `each` wants no more. `false` when these are no lines.
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&str) -> bool) -> bool {
        for byte in bytes {
            if self.broken {
                return false;
            }
            self.buffer.push(*byte);
            match self.line() {
                Line::Partial => {}
                Line::Broken => {
                    self.broken = true;
                    self.buffer = Vec::new();
                }
                Line::Whole(start) => {
                    let end = self.buffer.len() - 1;
                    let text = std::str::from_utf8(&self.buffer[start..end]);
                    let more = match text {
                        Ok(text) => each(text),
                        Err(_) => {
                            self.broken = true;
                            false
                        }
                    };
                    self.buffer.clear();
                    if !more {
                        return !self.broken;
                    }
                }
            }
        }
        !self.broken
    }

    fn line(&self) -> Line {
        let (len, start) = match self.buffer[..] {
            [low, ..] if low < 0x80 => (usize::from(low), 1),
            [_] => return Line::Partial,
            [low, high, ..] if high < 0x80 => (usize::from(low & 0x7f) | usize::from(high) << 7, 2),
            _ => return Line::Broken,
        };
        if len == 0 || len > LINE_MAX {
            return Line::Broken;
        }
        match self.buffer.len() - start {
            have if have < len => Line::Partial,
            _ if self.buffer.last() == Some(&b'\n') => Line::Whole(start),
            _ => Line::Broken,
        }
    }
}

enum Line {
    Partial,
    Broken,
    /// Where its text starts.
    Whole(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in texts {
            let len = text.len() + 1;
            if len < 0x80 {
                bytes.push(len as u8);
            } else {
                bytes.extend([(len & 0x7f) as u8 | 0x80, (len >> 7) as u8]);
            }
            bytes.extend(text.as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// Feeds in pieces of each size; the outcome is the same.
    fn answered(inbound: bool, proposals: &[u8], answers: &[u8]) -> Outcome {
        let mut seen = None;
        for size in [1, 2, 7, 1000] {
            let mut negotiation = Negotiation::new(inbound);
            for piece in proposals.chunks(size) {
                let outcome = if inbound {
                    negotiation.handle_received(piece)
                } else {
                    negotiation.handle_sent(piece)
                };
                assert_eq!(outcome, Outcome::Open);
            }
            let outcomes = answers.chunks(size).map(|piece| {
                if inbound {
                    negotiation.handle_sent(piece)
                } else {
                    negotiation.handle_received(piece)
                }
            });
            let outcome = outcomes
                .into_iter()
                .find(|outcome| *outcome != Outcome::Open)
                .unwrap_or(Outcome::Open);
            if let Some(seen) = &seen {
                assert_eq!(seen, &outcome, "{size}");
            }
            seen = Some(outcome);
        }
        seen.unwrap()
    }

    #[test]
    fn the_answer_names_the_protocol_both_ways() {
        let long = format!("/{}", "x".repeat(200));
        for name in ["/ipfs/bitswap/1.2.0", long.as_str()] {
            let mut proposals = lines(&[HEADER, "/old/1", name]);
            proposals.extend([0xff; 100]);
            let mut answers = lines(&[HEADER, REFUSAL, name]);
            answers.extend([0xff; 100]);
            for inbound in [false, true] {
                let outcome = answered(inbound, &proposals, &answers);
                assert_eq!(outcome, Outcome::Agreed(name.into()), "{inbound}");
            }
        }
    }

    #[test]
    fn a_peer_cannot_invent_a_protocol() {
        let proposals = lines(&[HEADER, "/a/1"]);
        let answers = lines(&[HEADER, "/b/1"]);
        assert_eq!(answered(false, &proposals, &answers), Outcome::Unknown);
        let refused = lines(&[HEADER, REFUSAL]);
        assert_eq!(answered(false, &proposals, &refused), Outcome::Open);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_in_little_memory(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..8),
            inbound: bool,
        ) {
            let mut negotiation = Negotiation::new(inbound);
            for piece in &pieces {
                negotiation.handle_received(piece);
                negotiation.handle_sent(piece);
                prop_assert!(negotiation.answers.buffer.len() <= LINE_MAX + 2);
                prop_assert!(negotiation.proposals.buffer.len() <= LINE_MAX + 2);
                prop_assert!(negotiation.proposed.len() <= PROPOSALS_MAX);
            }
        }
    }
}
