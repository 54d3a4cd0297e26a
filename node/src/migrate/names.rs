//! Records of published names, so that the sequence of a name goes on where Kubo's ended.

use bytes::Bytes;
use libp2p::PeerId;
use multibase::Base;

use super::kubo::KuboRepo;
use super::report::MigrateReport;
use crate::error::{Error, Result};
use crate::names::record::Record;
use crate::names::table;
use crate::node::Node;

const PREFIX: &[u8] = b"/ipns/";

/// Keeps the records of names whose key is here.
pub fn take(node: &Node, kubo: &KuboRepo, report: &mut MigrateReport) -> Result<()> {
    let own = kubo.config()["Identity"]["PeerID"].as_str();
    let (part, notes) = (&mut report.names, &mut report.notes);
    kubo.records().scan(PREFIX, &mut |key, value| {
        let text = String::from_utf8_lossy(&key[PREFIX.len()..]).into_owned();
        let Some(name) = peer_id(&text) else {
            part.leave(text, "it is no name".to_owned());
            return Ok(());
        };
        let record = match Record::validate_expired(Bytes::copy_from_slice(value), &name) {
            Ok(record) => record,
            Err(error) => {
                part.leave(name.to_string(), error.to_string());
                return Ok(());
            }
        };
        if node.keys().find_id(&name)?.is_none() {
            // Nobody can publish it here, so there is no sequence to go on with.
            notes.push(match own == Some(&*name.to_base58()) {
                true => format!("the name of Kubo itself, {name}, comes with --peer-id only"),
                false => format!("the key of the published name {name} is not in the repo"),
            });
            return Ok(());
        }
        match keep(node, &name, record)? {
            true => part.taken += 1,
            false => part.present += 1,
        }
        Ok::<_, Error>(())
    })
}

fn peer_id(text: &str) -> Option<PeerId> {
    PeerId::from_bytes(&Base::Base32Upper.decode(text).ok()?).ok()
}

/// False when this record or a later one is there.
fn keep(node: &Node, name: &PeerId, record: Record) -> Result<bool> {
    node.database().write(|transaction| {
        let known = table::get_within(transaction, name)?.best();
        if known.is_some_and(|known| known.sequence() >= record.sequence()) {
            return Ok(false);
        }
        table::set_own(transaction, name, &table::Own { record, put_at: 0 })?;
        Ok(true)
    })
}
