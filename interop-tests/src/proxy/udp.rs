//! Datagrams: each client gets a socket of its own towards the node.

use super::datagrams::{Batch, Socket};
use super::line::Line;
use super::{Direction, FROM_NODE, Shared, TO_NODE};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// Datagrams of more clients are lost.
const CLIENTS: usize = 256;

/// One client and its two directions.
struct Flow {
    client: SocketAddr,
    /// Connected to the node.
    back: Socket,
    lines: [Line<Batch>; 2],
}

impl Flow {
    fn open(client: SocketAddr, shared: &Shared) -> std::io::Result<Self> {
        let back = Socket::bind()?;
        back.connect(shared.target)?;
        let line = |direction: &Direction| {
            Line::new(
                direction.pace.clone(),
                shared.link.delay,
                shared.link.room(),
            )
        };
        Ok(Self {
            client,
            back,
            lines: [
                line(&shared.directions[TO_NODE]),
                line(&shared.directions[FROM_NODE]),
            ],
        })
    }

    /// Hands over what was received; what finds no room is lost.
    fn hand_over(&self, direction: usize, batch: Batch, shared: &Shared) {
        let line = &self.lines[direction];
        let lose = |count: usize| {
            shared.lost.fetch_add(count as u64, Ordering::Relaxed);
        };
        let count = batch.count();
        if count == 1 || !shared.directions[direction].pace.is_limited() {
            if !line.offer(batch.length(), batch) {
                lose(count);
            }
            return;
        }
        // One by one, so that each leaves when its own time has come.
        for single in batch.singles() {
            if !line.offer(single.length(), single) {
                lose(1);
            }
        }
    }

    fn start(self: &Arc<Self>, front: &Arc<Socket>, shared: &Arc<Shared>) -> [JoinHandle<()>; 3] {
        let spawn = |work: fn(&Self, &Socket, &Shared)| {
            let (flow, front, shared) = (self.clone(), front.clone(), shared.clone());
            std::thread::spawn(move || work(&flow, &front, &shared))
        };
        [
            spawn(Self::write_to_node),
            spawn(Self::read_from_node),
            spawn(Self::write_to_client),
        ]
    }

    fn write_to_node(&self, _: &Socket, shared: &Shared) {
        while let Some(batch) = self.lines[TO_NODE].pull() {
            // The node may be gone; a datagram that cannot be sent is lost.
            if self.back.send(&batch, None).is_ok() {
                shared.count(TO_NODE, batch.length());
            }
        }
    }

    fn read_from_node(&self, _: &Socket, shared: &Shared) {
        let mut buffer = Socket::buffer();
        while !shared.is_stopped() {
            // No datagram in time, or the node said that nobody listens.
            if let Ok((batch, _)) = self.back.receive(&mut buffer) {
                self.hand_over(FROM_NODE, batch, shared);
            }
        }
    }

    fn write_to_client(&self, front: &Socket, shared: &Shared) {
        while let Some(batch) = self.lines[FROM_NODE].pull() {
            if front.send(&batch, Some(self.client)).is_ok() {
                shared.count(FROM_NODE, batch.length());
            }
        }
    }
}

/// Carries datagrams both ways until the proxy is stopped.
pub fn serve(front: Socket, shared: &Arc<Shared>) {
    let front = Arc::new(front);
    let mut flows: HashMap<SocketAddr, Arc<Flow>> = HashMap::new();
    let mut threads = Vec::new();
    let mut buffer = Socket::buffer();
    while !shared.is_stopped() {
        let Ok((batch, client)) = front.receive(&mut buffer) else {
            continue;
        };
        if let Some(flow) = flows.get(&client) {
            flow.hand_over(TO_NODE, batch, shared);
            continue;
        }
        if flows.len() >= CLIENTS {
            continue;
        }
        if let Ok(flow) = Flow::open(client, shared) {
            let flow = Arc::new(flow);
            threads.extend(flow.start(&front, shared));
            flow.hand_over(TO_NODE, batch, shared);
            flows.insert(client, flow);
        }
    }
    for flow in flows.values() {
        flow.lines.iter().for_each(Line::close);
    }
    for thread in threads {
        // A panic there was printed.
        let _ = thread.join();
    }
}
