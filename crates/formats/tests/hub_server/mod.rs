//! A small server on the loopback that speaks the hub's protocol: the list of files, ETags, commits, ranges, and big
//! files that lie elsewhere.

#![allow(dead_code)] // every test file uses its part

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The only model it has.
pub const NAME: &str = "tester/tiny-t5";

/// What the server has and how it behaves.
#[derive(Clone, Default)]
pub struct Site {
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    /// The token it wants.
    pub token: Option<String>,
    /// Overrides every ETag.
    pub etag: Option<String>,
    /// Ends the connection in the middle of that many answers with more than 100 bytes.
    pub drops: usize,
    /// Says that files are longer than they are.
    pub lies: bool,
    /// Requests so far, with their range.
    pub log: Vec<String>,
}

/// Serves a site until the test's process ends; its address.
pub fn serve(site: &Arc<Mutex<Site>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (shared, base) = (site.clone(), endpoint.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &shared, &base);
        }
    });
    endpoint
}

/// One request, one answer.
fn answer(mut stream: TcpStream, site: &Mutex<Site>, base: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or("").to_owned();
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
    let header = |name: &str| {
        headers
            .iter()
            .filter_map(|l| l.split_once(": "))
            .find(|h| h.0.eq_ignore_ascii_case(name))
            .map(|h| h.1)
    };
    let mut site = site.lock().unwrap();
    let range = header("range").unwrap_or("").to_owned();
    site.log.push(format!("{path} {range}").trim().to_owned());

    let wanted = site.token.as_ref().map(|t| format!("Bearer {t}"));
    if wanted.is_some() && header("authorization").map(str::to_owned) != wanted && !path.starts_with("/cdn/")
    {
        return write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if path.starts_with(&format!("/api/models/{NAME}/revision/")) {
        let siblings: Vec<_> = site.files.keys().map(|f| serde_json::json!({"rfilename": f})).collect();
        let body = serde_json::json!({"sha": site.commit, "siblings": siblings, "modelId": NAME}).to_string();
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    let name = path.rsplit('/').next().unwrap_or("").to_owned();
    let Some(data) =
        site.files.get(&name).cloned().filter(|_| path.starts_with("/tester/") || path.starts_with("/cdn/"))
    else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let etag = site.etag.clone().unwrap_or_else(|| hash(&data));
    // Big files lie elsewhere, as on the hub.
    if data.len() > 100 && !path.starts_with("/cdn/") {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {base}/cdn/{name}\r\nX-Repo-Commit: {}\r\nX-Linked-Etag: \"{etag}\"\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            site.commit
        );
    }
    let (from, to) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')).unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap_or(0).min(data.len());
    let to = to.parse().map_or(data.len(), |n: usize| (n + 1).min(data.len()));
    let total = data.len() + usize::from(site.lies);
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {}\r\nContent-Length: {}\r\n\
         Content-Range: bytes {from}-{}/{total}\r\nConnection: close\r\n\r\n",
        site.commit,
        to - from,
        to.saturating_sub(1)
    )?;
    if to - from > 100 && site.drops > 0 {
        site.drops -= 1;
        return stream.write_all(&data[from..from + 70]);
    }
    stream.write_all(&data[from..to])
}

fn hash(data: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
