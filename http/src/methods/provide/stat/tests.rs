use std::time::Duration;

use ipfs_kit_node::ProvideStat;

use super::*;

/// As Kubo's of a node that has just started.
fn fresh() -> ProvideStat {
    ProvideStat {
        peers: 0,
        counts: Default::default(),
        keys: 1,
        next: None,
        began: Some(1_795_660_962),
        uptime: Duration::from_millis(3900),
        waiting: 0,
        workers: 16,
        dedicated: (2, 1),
        connections: 20,
        interval: Duration::from_secs(22 * 3600),
        sweep: true,
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_660_965)
}

fn shown(all: bool, compact: bool, chosen: &[Section]) -> String {
    let asked = Sections {
        all,
        chosen: chosen.to_vec(),
        compact,
    };
    text(&fresh(), &asked, now())
}

#[test]
fn the_summary_is_kubos() {
    assert_eq!(
        shown(false, false, &[]),
        "Status:              offline
Provide queue:       0 CIDs, 0 regions
Reprovide queue:     0 regions
CIDs scheduled:      1
Regions scheduled:   N/A
Avg record holders:  N/A
Ongoing provides:    0 CIDs, 0 regions
Ongoing reprovides:  0 CIDs, 0 regions
Total CIDs provided: 0
"
    );
}

#[test]
fn all_sections_are_kubos() {
    let all = shown(true, false, &[]);
    for part in [
        "Connectivity:\n  Status: offline\n\nQueues:\n  Provide queue:   0 CIDs, 0 regions\n  Reprovide queue: 0 regions\n",
        "Schedule:\n  CIDs scheduled:        1\n  Regions scheduled:     N/A\n  Avg prefix length:     N/A\n",
        "Timings:\n  Uptime:              3.9s (2026-11-26 02:42:42)\n  Current time offset: 3s\n  Cycle started:       2026-11-26 02:42:42\n  Reprovide interval:  22h0m0s\n",
        "  Full keyspace coverage: false\n  Reachable peers:        0\n  Avg region size:        N/A\n  Replication factor:     20\n",
        "  CIDs reprovided/min/worker:      N/A\n  Region reprovide duration:       N/A\n",
    ] {
        assert!(all.contains(part), "{part}\n---\n{all}");
    }
    assert!(
        all.ends_with(
            "Workers:
  Active workers: 0 / 16 (max)
  Free workers:   13
    Workers stats: Periodic  Burst
    Active:        0         0
    Dedicated:     2         1
    Available:     15        14
    Queued:        0         0
  Max connections/worker: 20
"
        ),
        "{all}"
    );
    let two = shown(true, true, &[]);
    assert!(
        two.starts_with("Schedule:                            Connectivity:\n"),
        "{two}"
    );
    assert!(
        two.contains("  Active: 0 / 16 (max)                 Total CIDs provided: 0\n"),
        "{two}"
    );
}

#[test]
fn sections_by_name_have_titles_only_beside_others() {
    assert!(shown(false, false, &[Section::Queues]).starts_with("Provide queue:   0 CIDs"));
    let two = shown(false, false, &[Section::Queues, Section::Workers]);
    assert!(
        two.starts_with("Queues:\n  Provide queue:   0 CIDs") && two.contains("\n\nWorkers:\n")
    );
}

#[test]
fn the_record_has_kubos_names() {
    let json = serde_json::to_value(record(&fresh(), now())).unwrap();
    let sweep = &json["Sweep"];
    assert_eq!(sweep["connectivity"]["since"], "0001-01-01T00:00:00Z");
    assert_eq!(sweep["schedule"]["avg_prefix_length"], -1.0);
    assert_eq!(
        sweep["timing"]["reprovides_interval"],
        79_200_000_000_000_u64
    );
    assert_eq!(sweep["workers"]["max_provide_conns_per_worker"], 20);
    assert_eq!(
        sweep["operations"]["past"]["regions_reprovided_last_cycle"],
        0
    );
    assert_eq!(sweep["network"]["replication_factor"], 20);
    assert!(json["Legacy"].is_null() && json["FullRT"] == false);
}
