use super::*;
use crate::commands;
use crate::settings::GLOBALS;

fn parsed(line: &str) -> Result<Parsed, String> {
    parse(
        &commands::ROOT,
        GLOBALS,
        line.split_whitespace().map(OsString::from),
    )
    .map_err(|rejected| rejected.failure.to_string())
}

fn words(parsed: &Parsed) -> Vec<&str> {
    parsed
        .words
        .iter()
        .map(|word| word.to_str().unwrap())
        .collect()
}

#[test]
fn options_stand_anywhere() {
    for line in [
        "add -w x --pin=false",
        "add x --pin=false -w",
        "add --pin=false x -w=true",
    ] {
        let parsed = parsed(line).unwrap();
        assert_eq!(parsed.command().name, "add");
        assert_eq!(words(&parsed), ["x"]);
        assert_eq!(parsed.options["wrap-with-directory"], Value::Bool(true));
        assert_eq!(parsed.options["pin"], Value::Bool(false));
    }
}

#[test]
fn short_options_join_and_take_values() {
    let joined = parsed("add -rwQ x -s size-10").unwrap();
    assert_eq!(joined.options["quieter"], Value::Bool(true));
    assert_eq!(joined.options["chunker"], Value::Text("size-10".into()));
    let glued = parsed("add -ssize-10 x").unwrap();
    assert_eq!(glued.options["chunker"], Value::Text("size-10".into()));
    let equals = parsed("add -s=size-10 x").unwrap();
    assert_eq!(equals.options["chunker"], Value::Text("size-10".into()));
}

#[test]
fn a_flag_does_not_take_the_next_word() {
    let parsed = parsed("add --pin false").unwrap();
    assert_eq!(parsed.options["pin"], Value::Bool(true));
    assert_eq!(words(&parsed), ["false"]);
}

#[test]
fn global_options_before_and_after() {
    for line in [
        "--format json ls x",
        "ls x --format json",
        "ls --format=json x",
    ] {
        let parsed = parsed(line).unwrap();
        assert_eq!(parsed.globals["format"], Value::Text("json".into()));
        assert_eq!(words(&parsed), ["x"]);
    }
}

#[test]
fn a_command_hides_the_global_option() {
    let global = parsed("-v ls x").unwrap();
    assert_eq!(global.globals["verbose"], Value::Bool(true));
    let own = parsed("ls -v x").unwrap();
    assert_eq!(own.options["headers"], Value::Bool(true));
    assert!(own.globals.is_empty());
}

#[test]
fn double_dash_ends_options() {
    let parsed = parsed("add -- -w --pin").unwrap();
    assert_eq!(words(&parsed), ["-w", "--pin"]);
}

#[test]
fn a_lone_dash_is_an_argument() {
    assert_eq!(words(&parsed("add -").unwrap()), ["-"]);
}

#[test]
fn lists_collect() {
    let parsed = parsed("add --ignore a --ignore=b x").unwrap();
    assert_eq!(
        parsed.options["ignore"],
        Value::List(vec!["a".into(), "b".into()])
    );
}

#[test]
fn errors_name_the_option() {
    assert_eq!(
        parsed("add --bogus x").unwrap_err(),
        "unknown option \"bogus\""
    );
    assert_eq!(parsed("add -wz x").unwrap_err(), "unknown option \"wz\"");
    assert_eq!(
        parsed("add --chunker").unwrap_err(),
        "missing argument for option \"chunker\""
    );
    assert_eq!(parsed("add -w -w x").unwrap_err(), {
        "multiple values for option \"wrap-with-directory\""
    });
    assert!(
        parsed("add --cid-version=x y")
            .unwrap_err()
            .contains("cid-version")
    );
    assert!(parsed("add --pin=maybe y").unwrap_err().contains("pin"));
    assert!(
        parsed("bogus")
            .unwrap_err()
            .starts_with("Unknown Command \"bogus\"")
    );
}

#[test]
fn words_after_an_argument_are_arguments() {
    let parsed = parsed("refs x local").unwrap();
    assert_eq!(parsed.command().name, "refs");
    assert_eq!(words(&parsed), ["x", "local"]);
}

#[test]
fn names_that_are_not_utf8_survive() {
    let name = OsString::from_vec(vec![b'a', 0xff]);
    let words = vec![OsString::from("add"), name.clone()];
    let parsed = parse(&commands::ROOT, GLOBALS, words.into_iter()).unwrap();
    assert_eq!(parsed.words, [name]);
}
