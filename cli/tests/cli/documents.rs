//! The documents that are made from the table of methods.

use std::fs;
use std::path::Path;

use super::harness::{Home, json};

/// The page in the repository says what the program says.
#[test]
fn the_reference_page_is_the_programs_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rpc.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    let printed = Home::bare().ok(["commands", "reference"]);
    assert!(
        page.trim_end() == printed,
        "docs/rpc.md is not what the program prints. Make it anew, from the top of the repository:\n\
         cargo run -q -p ipfs-kit -- commands reference > docs/rpc.md"
    );
}

#[test]
fn the_description_is_openapi() {
    let home = Home::bare();
    let document = json(&home.ok(["commands", "openapi"]));
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document,
        json(&home.ok(["commands", "openapi", "--enc=json"]))
    );
    let add = &document["paths"]["/api/v0/add"]["post"];
    assert!(add["requestBody"]["content"]["multipart/form-data"].is_object());
    assert!(!home.repo().exists(), "no repo is needed");
}
