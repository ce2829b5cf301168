//! Models and tokenizers of the hub, spoken by a small server on the loopback, as a user names them.

mod common;
#[path = "../../formats/tests/hub_server/mod.rs"]
mod hub_server;

use common::model::{LONG, hugging_face, text};
use common::{Run, arg, finish, names, program, run};
use hub_server::{NAME, Site, serve};
use std::path::Path;
use std::sync::{Arc, Mutex};

struct Hub {
    endpoint: String,
    site: Arc<Mutex<Site>>,
    home: tempfile::TempDir,
}

impl Hub {
    /// The folder's files as a model of the hub.
    fn new(folder: &Path) -> Self {
        let files = names(folder).into_iter().map(|n| (n.clone(), std::fs::read(folder.join(n)).unwrap()));
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let site = Arc::new(Mutex::new(Site { commit, files: files.collect(), ..Site::default() }));
        Hub { endpoint: serve(&site), site, home: tempfile::tempdir().unwrap() }
    }

    fn run(&self, args: &[&str], vars: &[(&str, &str)]) -> Run {
        let mut command = program();
        for name in
            ["HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"]
        {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", &self.endpoint).env("HF_HOME", self.home.path());
        finish(command.envs(vars.iter().copied()).args(args))
    }
}

#[test]
fn a_name_of_the_hub_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let hub = Hub::new(&hf);
    hub.site.lock().unwrap().token = Some("hf_secret".to_owned());
    let generate = ["generate", "--model", NAME, LONG[0], LONG[1], "甲乙丙，丁"];
    let refused = hub.run(&generate, &[]);
    refused.fails(&[NAME, "set HF_TOKEN"]);
    let fetched = hub.run(&generate, &[("HF_TOKEN", "hf_secret")]);
    assert!(fetched.stderr.contains("fetching model.safetensors"), "{fetched:#?}");
    assert_eq!(fetched.ok(), text(&[arg(&hf)]));
    let cache = hub.home.path().join("hub/models--tester--tiny-t5");
    assert_eq!(names(&cache.join("snapshots/0123456789abcdef0123456789abcdef01234567")), names(&hf));
    // From the cache, without a word to the server.
    hub.site.lock().unwrap().log.clear();
    let again = hub.run(&generate, &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!((again.stderr.as_str(), again.stdout.as_str()), ("", text(&[arg(&hf)]).as_str()));
    assert!(hub.site.lock().unwrap().log.is_empty());
    let out = folder.path().join("out");
    hub.run(
        &["convert", "--model", NAME, "--output", arg(&out), "--dtype", "bf16"],
        &[("HF_HUB_OFFLINE", "1")],
    )
    .ok();
    assert!(run(["inspect", "--model", arg(&out)]).ok().contains("bf16"));
    hub.run(&["inspect", "--model", "tester/other"], &[]).fails(&["tester/other"]);
    hub.run(&["inspect", "--model", "no such model"], &[]).fails(&["no such file or folder"]);
    hub.run(&["inspect", "--model", "runs/mine"], &[("HF_HUB_OFFLINE", "1")]).fails(&[
        "runs/mine: no such file or folder here",
        "of the hub: not",
        "HF_HUB_OFFLINE is set",
    ]);
}

#[test]
fn an_address_without_a_scheme_a_revision_and_names_of_old() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let hub = Hub::new(&hf);
    let bare = hub.endpoint.strip_prefix("http://").unwrap();
    let generate = ["generate", "--model", NAME, "--revision", "v2", LONG[0], LONG[1], "甲乙丙，丁"];
    assert_eq!(hub.run(&generate, &[("HF_ENDPOINT", bare)]).ok(), text(&[arg(&hf)]));
    let log = std::mem::take(&mut hub.site.lock().unwrap().log);
    assert_eq!(log[0], format!("/api/models/{NAME}/revision/v2"));
    hub.run(&["inspect", "--model", "t5-small"], &[]).fails(&["t5-small: no such file or folder here"]);
    assert_eq!(hub.site.lock().unwrap().log, ["/api/models/google-t5/t5-small/revision/main"]);
    hub.run(&["inspect", "--model", NAME, "--revision", "../x"], &[]).fails(&["--revision"]);
    let elsewhere = [("HF_ENDPOINT", "hub.invalid")];
    hub.run(&["inspect", "--model", "t5-base"], &elsewhere).fails(&["https://hub.invalid cannot be reached"]);
}

#[test]
fn a_tokenizer_of_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let hub = Hub::new(&hf);
    let whole = text(&[arg(&hf)]);
    std::fs::remove_file(hf.join("spiece.model")).unwrap();
    let generate = ["generate", "--model", arg(&hf), "--tokenizer", NAME, LONG[0], LONG[1], "甲乙丙，丁"];
    assert_eq!(hub.run(&generate, &[]).ok(), whole);
    assert_eq!(hub.run(&["tokenize", "--tokenizer", NAME], &[("HF_HUB_OFFLINE", "1")]).code, 0);
    let fetched = hub.home.path().join("hub/models--tester--tiny-t5/snapshots");
    let commit = names(&fetched).remove(0);
    assert_eq!(names(&fetched.join(commit)), ["config.json", "spiece.model"]);
}
