//! A command that runs for a client of the daemon.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use ipfs_kit_node::{AddOptions, AtOnce, CancelToken, Cancelled, Node, Source};

use super::reply::Notes;
use super::upload::Upload;
use crate::command::Argument;
use crate::failure::Failure;
use crate::host::{Bar, Counting, Host, Inputs, Need, Sources};
use crate::observed::Observed;

/// The daemon's node, and what came with the request.
pub struct RpcHost {
    /// Listens to the request's own token.
    pub node: Node,
    /// Fires when the client goes away, the time is up or the daemon stops.
    pub cancel: CancelToken,
    /// Files that came along.
    pub upload: Option<Upload>,
    /// Lines beside the result.
    pub notes: Notes,
    /// Set where the command must not wait.
    pub at_once: Option<AtOnce>,
    /// What the daemon knows of itself.
    pub observed: Arc<Observed>,
    /// Ends the daemon.
    pub stop: Arc<dyn Fn() + Send + Sync>,
}

impl RpcHost {
    fn upload(&self) -> Result<&Upload, Failure> {
        let upload = self.upload.as_ref();
        upload.ok_or_else(|| Failure::usage("no files came with the request"))
    }
}

impl Host for RpcHost {
    fn node(&self, _: Need) -> Result<Node, Failure> {
        Ok(self.node.clone())
    }

    fn close(&self, _: Node) -> Result<(), Failure> {
        Ok(())
    }

    fn repo_path(&self) -> Result<PathBuf, Failure> {
        let path = self.node.path().map(ToOwned::to_owned);
        path.ok_or_else(|| Failure::failed("this node lives in memory and has no repo directory"))
    }

    fn inputs(&self, _: &Argument, _: &[OsString]) -> Result<Inputs, Failure> {
        Ok(self.upload()?.inputs())
    }

    fn sources(
        &self,
        _: &[OsString],
        _: Option<String>,
        _: &AddOptions,
    ) -> Result<Sources, Failure> {
        Ok(Sources {
            sources: vec![Source::Tree(Box::new(self.upload()?.clone()))],
            paths: Vec::new(),
        })
    }

    fn lines(&self) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(match &self.upload {
            Some(upload) => upload.lines(),
            None => Box::new(std::io::empty()),
        })
    }

    fn check(&self) -> Result<(), Failure> {
        self.cancel.check().map_err(|cancelled| match cancelled {
            Cancelled::TimedOut => Failure::TimedOut,
            Cancelled::Interrupted => Failure::failed("the request was cancelled"),
        })
    }

    fn bar(&self, _: Counting, _: Option<bool>) -> Option<Arc<dyn Bar>> {
        None
    }

    fn note(&self, text: &str) {
        self.notes.push(text);
    }

    fn at_once(&self) -> Option<&AtOnce> {
        self.at_once.as_ref()
    }

    fn observed(&self) -> Option<&Arc<Observed>> {
        Some(&self.observed)
    }

    fn shutdown(&self) -> Result<(), Failure> {
        self.observed.set_stopping();
        (self.stop)();
        Ok(())
    }
}
