//! Routers that the user composed.

use bytes::Bytes;
use serde_json::{Value, json};

use super::fetch::{add, noise};
use super::gateway::{Server, Table, router};
use super::{TCP, node, node_with};
use crate::names::PublishOptions;
use crate::{Node, PeerId};

/// Every method over the router of one name.
async fn composed(routers: Value, name: &str) -> Node {
    let methods = [
        "provide",
        "find-providers",
        "find-peers",
        "get-ipns",
        "put-ipns",
    ];
    let methods = methods.map(|method| (method.to_owned(), json!({"RouterName": name})));
    let values = [
        ("Routing.Type", json!("custom")),
        ("Routing.Routers", routers),
        (
            "Routing.Methods",
            Value::Object(methods.into_iter().collect()),
        ),
    ];
    node_with(&[TCP], &values).await.unwrap()
}

fn http(server: &Server) -> Value {
    json!({"Type": "http", "Parameters": {"Endpoint": server.url()}})
}

fn lan() -> Value {
    json!({"Type": "dht", "Parameters": {"Mode": "server", "PublicIPNetwork": false}})
}

fn group(kind: &str, members: Value) -> Value {
    json!({"Type": kind, "Parameters": {"Routers": members}})
}

/// A router that knows one provider of everything in `keys`, and where it is.
async fn knows(peer: PeerId, keys: &[String]) -> (Server, Table) {
    let table = Table::default();
    let record =
        json!({"Schema": "peer", "ID": peer.to_string(), "Addrs": ["/ip4/127.0.0.1/tcp/9"]});
    for key in keys {
        let (list, path) = match key.strip_prefix("peers/") {
            Some(_) => ("Peers", format!("/{key}")),
            None => ("Providers", format!("/providers/{key}")),
        };
        let body = Bytes::from(json!({list: [record]}).to_string());
        table.lock().insert(path, ("application/json", body));
    }
    (router(Table::clone(&table)).await, table)
}

async fn providers(node: &Node, cid: &crate::Cid) -> Vec<PeerId> {
    let mut found = node
        .routing()
        .unwrap()
        .find_providers(cid, 8)
        .await
        .unwrap();
    let mut peers = Vec::new();
    while let Some(provider) = found.recv().await {
        peers.push(provider.peer);
    }
    peers.sort();
    peers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_at_once_asks_everybody() {
    let owner = node(&[TCP]).await;
    let cid = add(&owner, noise(100, 1)).await;
    let stranger = PeerId::random();
    let key = crate::format_peer_id(&stranger, crate::IdBase::default());
    let (one, _) = knows(stranger, &[cid.to_string(), format!("peers/{key}")]).await;
    let routers = json!({
        "lan": lan(), "one": http(&one), "down": {"Type": "http", "Parameters": {"Endpoint": "http://127.0.0.1:1"}},
        "all": group("parallel", json!([
            {"RouterName": "lan"}, {"RouterName": "one"}, {"RouterName": "down", "IgnoreErrors": true}
        ])),
    });
    let reader = composed(routers, "all").await;
    assert_eq!(
        reader.net_warnings().len(),
        1,
        "HTTP takes no announcements"
    );
    super::routing::meet(&reader, &owner).await;
    owner.routing().unwrap().provide(&cid).await.unwrap();
    let id = owner.peers().unwrap().id().await.unwrap().id;
    let mut both = [id, stranger];
    both.sort();
    assert_eq!(providers(&reader, &cid).await, both);
    let found = reader.routing().unwrap().find_peer(stranger).await.unwrap();
    assert_eq!(found[0].to_string(), "/ip4/127.0.0.1/tcp/9");
    // It announces in the DHT, which there is.
    let own = add(&reader, noise(100, 2)).await;
    reader.routing().unwrap().provide(&own).await.unwrap();
    let reader_id = reader.peers().unwrap().id().await.unwrap().id;
    assert_eq!(providers(&owner, &own).await, [reader_id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_in_order_ends_where_it_may() {
    let stranger = PeerId::random();
    let key = crate::format_peer_id(&stranger, crate::IdBase::default());
    let peers = [format!("peers/{key}")];
    let ((nothing, _), (first, _), (second, _)) = (
        knows(stranger, &[]).await,
        knows(stranger, &peers).await,
        knows(stranger, &peers).await,
    );
    let routers = json!({
        "nothing": http(&nothing), "first": http(&first), "second": http(&second),
        "order": group("sequential", json!([
            {"RouterName": "nothing"}, {"RouterName": "first"}, {"RouterName": "second"}
        ])),
    });
    let reader = composed(routers, "order").await;
    reader.routing().unwrap().find_peer(stranger).await.unwrap();
    assert_eq!((nothing.count(), first.count(), second.count()), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_where_the_methods_say() {
    let (one, one_table) = knows(PeerId::random(), &[]).await;
    let (two, two_table) = knows(PeerId::random(), &[]).await;
    let routers = json!({
        "one": http(&one), "two": http(&two),
        "down": {"Type": "http", "Parameters": {"Endpoint": "http://127.0.0.1:1"}},
        "strict": group("parallel", json!([{"RouterName": "one"}, {"RouterName": "down"}])),
        "mild": group("sequential", json!([
            {"RouterName": "down", "IgnoreErrors": true}, {"RouterName": "two"}
        ])),
    });
    let publish = |node: &Node| {
        let node = node.clone();
        tokio::task::spawn_blocking(move || {
            let options = PublishOptions {
                resolve: false,
                ..PublishOptions::default()
            };
            node.names().publish("/ipfs/bafkqaaa", &options)
        })
    };
    let strict = composed(routers.clone(), "strict").await;
    publish(&strict).await.unwrap().unwrap_err();
    assert_eq!(one_table.lock().len(), 1, "who could be told was");
    let mild = composed(routers, "mild").await;
    let published = publish(&mild).await.unwrap().unwrap();
    assert_eq!((one_table.lock().len(), two_table.lock().len()), (1, 1));
    let key = published.key.id;
    let found = mild.routing().unwrap();
    let key = [b"/ipns/".to_vec(), key.to_bytes()].concat();
    let mut records = found.find_records(key.clone()).await.unwrap();
    let record = records.recv().await.unwrap();
    assert_eq!(record, two_table.lock().values().next().unwrap().1);
    assert_eq!(found.get(key).await.unwrap(), record);
}
