//! Cuts a `multipart/form-data` body into parts as it comes. No IO; content is not copied, except for
//! the few bytes at the end of a piece that may be the start of a boundary.

use bytes::{Bytes, BytesMut};
use memchr::memmem::{Finder, find};

/// Longest head of a part, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// What a body is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of a part: its header lines.
    Part(Bytes),
    /// Some of its content.
    Data(Bytes),
}

/// Why a body is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A boundary is followed by something else than a line end.
    #[error("the request's body is no multipart form: a boundary has no end")]
    Boundary,
    /// A head has no end.
    #[error("the request's body is no multipart form: the head of a part is longer than 16 KiB")]
    Head,
    /// The last boundary is missing.
    #[error("the request's body broke off")]
    BrokeOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary.
    Boundary,
    Head,
    Data,
    End,
}

/// The cutter.
pub struct Form {
    boundary: Finder<'static>,
    state: State,
    /// Came, but cannot be told yet.
    held: Bytes,
}

impl Form {
    /// A body whose parts are told apart by `boundary`.
    pub fn new(boundary: &str) -> Form {
        Form {
            boundary: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            state: State::Preamble,
            // The first boundary may be the first line.
            held: Bytes::from_static(b"\r\n"),
        }
    }

    /// A body of which nothing is left.
    pub fn ended() -> Form {
        Form {
            state: State::End,
            ..Form::new("")
        }
    }

    /// Takes the next piece and tells what is in it.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn push(&mut self, piece: Bytes, tell: &mut impl FnMut(Event)) -> Result<(), FormError> {
        let mut input = join(std::mem::take(&mut self.held), piece);
        while !input.is_empty() {
            match self.state {
                State::Preamble | State::Data => {
                    let content = self.content(&mut input);
                    if self.state != State::Preamble && !content.is_empty() {
                        tell(Event::Data(content));
                    }
                    if input.is_empty() {
                        break;
                    }
                    if input.len() < self.boundary.needle().len() {
                        self.held = input;
                        break;
                    }
                    let _ = input.split_to(self.boundary.needle().len());
                    self.state = State::Boundary;
                }
                State::Boundary => {
                    if input.len() < 2 {
                        self.held = input;
                        break;
                    }
                    let end = input.split_to(2);
                    self.state = match &end[..] {
                        b"--" => State::End,
                        b"\r\n" => State::Head,
                        _ => return Err(FormError::Boundary),
                    };
                }
                State::Head => match self.head(&mut input)? {
                    Some(head) => tell(Event::Part(head)),
                    None => {
                        self.held = input;
                        break;
                    }
                },
                // What follows the last boundary means nothing.
                State::End => break,
            }
        }
        Ok(())
    }

    /// The end of the body.
    ///
    /// # Errors
    /// [`FormError::BrokeOff`].
    pub fn finish(&self) -> Result<(), FormError> {
        match self.state {
            State::End => Ok(()),
            _ => Err(FormError::BrokeOff),
        }
    }

    /// Takes what is certainly content. What is left is empty, or starts with a boundary or with what
    /// may become one.
    fn content(&self, input: &mut Bytes) -> Bytes {
        if let Some(at) = self.boundary.find(input) {
            return input.split_to(at);
        }
        let needle = self.boundary.needle();
        let longest = input.len().min(needle.len() - 1);
        let tail = (1..=longest)
            .rev()
            .find(|len| input.ends_with(&needle[..*len]));
        input.split_to(input.len() - tail.unwrap_or(0))
    }

    fn head(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, FormError> {
        let (len, skip) = if input.starts_with(b"\r\n") {
            (0, 2)
        } else {
            match find(&input[..input.len().min(MAX_HEAD)], b"\r\n\r\n") {
                Some(at) => (at, 4),
                None if input.len() >= MAX_HEAD => return Err(FormError::Head),
                None => return Ok(None),
            }
        };
        let head = input.split_to(len);
        // The line end before a boundary may be the one that ends the head: content may be empty.
        let _ = input.split_to(skip);
        self.state = State::Data;
        Ok(Some(head))
    }
}

fn join(held: Bytes, piece: Bytes) -> Bytes {
    if held.is_empty() {
        return piece;
    }
    let mut joined = BytesMut::with_capacity(held.len() + piece.len());
    joined.extend_from_slice(&held);
    joined.extend_from_slice(&piece);
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads and contents, with the body given in pieces of that size.
    fn cut(body: &[u8], size: usize) -> Result<Vec<(String, Vec<u8>)>, FormError> {
        let mut form = Form::new("XyZ");
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        for piece in body.chunks(size) {
            form.push(Bytes::copy_from_slice(piece), &mut |event| match event {
                Event::Part(head) => {
                    parts.push((String::from_utf8(head.to_vec()).unwrap(), Vec::new()));
                }
                Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
            })?;
        }
        form.finish().map(|()| parts)
    }

    const BODY: &[u8] = b"--XyZ\r\nA: 1\r\nB: 2\r\n\r\nab\r\n--Xy\r\r\n--XyZ\r\n\r\n\r\n--XyZ\r\n\
                          C: 3\r\n\r\n\r\n--XyZ\r\nD: 4\r\n\r\n\r\n\r\n--XyZ--\r\nepilogue";

    #[test]
    fn every_cut_gives_the_same() {
        let expected = [
            ("A: 1\r\nB: 2", &b"ab\r\n--Xy\r"[..]),
            ("", b""),
            ("C: 3", b""),
            ("D: 4", b"\r\n"),
        ];
        for size in 1..=BODY.len() {
            let parts = cut(BODY, size).unwrap();
            let parts: Vec<(&str, &[u8])> = parts
                .iter()
                .map(|(head, data)| (head.as_str(), &data[..]))
                .collect();
            assert_eq!(parts, expected, "{size}");
        }
    }

    #[test]
    fn what_is_no_form() {
        let end = BODY.len() - b"--\r\nepilogue".len();
        for len in 0..end {
            assert!(cut(&BODY[..len], 7).is_err(), "{len}");
        }
        assert_eq!(cut(b"--XyZabc", 3), Err(FormError::Boundary));
        let endless = [&b"--XyZ\r\nA: "[..], &[b'x'; 20 << 10]].concat();
        assert_eq!(cut(&endless, 1000), Err(FormError::Head));
        assert_eq!(cut(b"preamble\r\n--XyZ--", 4), Ok(Vec::new()));
        assert_eq!(cut(b"", 1), Err(FormError::BrokeOff));
    }
}
