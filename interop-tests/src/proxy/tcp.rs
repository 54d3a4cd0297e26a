//! Streams: each end of a connection is read by one thread and written by another.

use super::line::Line;
use super::{FROM_NODE, Shared, TO_NODE};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes read at once.
const PIECE: usize = 128 << 10;

/// The same on a link with a limit, so that connections take turns.
const SMALL_PIECE: usize = 16 << 10;

/// More connections at once are refused.
const CONNECTIONS: usize = 256;

/// How long the node may take to accept.
const ACCEPT: Duration = Duration::from_secs(10);

/// What a reader hands to a writer.
enum Piece {
    Bytes(Vec<u8>),
    /// The sender has no more; the other direction may go on.
    End,
}

struct Connection {
    ends: [TcpStream; 2],
    lines: [Line<Piece>; 2],
}

impl Connection {
    fn open(client: TcpStream, shared: &Shared) -> io::Result<Self> {
        let node = TcpStream::connect_timeout(&shared.target, ACCEPT)?;
        client.set_nodelay(true)?;
        node.set_nodelay(true)?;
        let line = |direction: usize| {
            Line::new(
                shared.directions[direction].pace.clone(),
                shared.link.delay,
                shared.link.room(),
            )
        };
        Ok(Self {
            ends: [client, node],
            lines: [line(TO_NODE), line(FROM_NODE)],
        })
    }

    /// Ends both directions at once.
    fn cut(&self) {
        for end in &self.ends {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
        self.lines.iter().for_each(Line::close);
    }

    /// Reads the end that `direction` comes from.
    fn read(&self, direction: usize, size: usize) {
        let mut buffer = vec![0; size];
        loop {
            match (&self.ends[direction]).read(&mut buffer) {
                Ok(0) => {
                    self.lines[direction].push(0, Piece::End);
                    return;
                }
                Ok(length) => {
                    let piece = Piece::Bytes(buffer[..length].to_vec());
                    if !self.lines[direction].push(length, piece) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.cut(),
            }
        }
    }

    /// Writes to the end that `direction` goes to.
    fn write(&self, direction: usize, shared: &Shared) {
        let mut to = &self.ends[1 - direction];
        while let Some(piece) = self.lines[direction].pull() {
            match piece {
                Piece::Bytes(bytes) => {
                    if to.write_all(&bytes).is_err() {
                        return self.cut();
                    }
                    shared.count(direction, bytes.len());
                }
                Piece::End => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
            }
        }
    }

    /// Carries both directions until both have ended.
    fn carry(&self, shared: &Shared) {
        let size = if shared.link.rate.is_some() {
            SMALL_PIECE
        } else {
            PIECE
        };
        std::thread::scope(|scope| {
            for direction in [TO_NODE, FROM_NODE] {
                scope.spawn(move || self.read(direction, size));
                scope.spawn(move || self.write(direction, shared));
            }
        });
    }
}

/// Carries every connection until the proxy is stopped.
pub fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    let open: Arc<Mutex<HashMap<u64, Arc<Connection>>>> = Arc::default();
    let held = || open.lock().unwrap_or_else(PoisonError::into_inner);
    let mut threads = Vec::new();
    for (number, client) in (0u64..).zip(listener.incoming()) {
        if shared.is_stopped() {
            break;
        }
        threads.retain(|thread: &std::thread::JoinHandle<()>| !thread.is_finished());
        // A connection that fails here is closed, which its client sees.
        let Ok(client) = client else { continue };
        if held().len() >= CONNECTIONS {
            continue;
        }
        let Ok(connection) = Connection::open(client, shared) else {
            continue;
        };
        let connection = Arc::new(connection);
        held().insert(number, connection.clone());
        let (shared, open) = (shared.clone(), open.clone());
        threads.push(std::thread::spawn(move || {
            connection.carry(&shared);
            open.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&number);
        }));
    }
    held().values().for_each(|connection| connection.cut());
    for thread in threads {
        // A panic there was printed.
        let _ = thread.join();
    }
}
