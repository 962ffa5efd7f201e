//! Hostile paths, queries, headers and whole requests.

use reqwest::Method;

use crate::harness::{Site, key_of, new_body};

fn request(line: &str, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {}\r\n",
        key_of("crew")
    );
    let length = format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), headers, length.as_bytes(), body].concat()
}

const SUBMISSION: &[u8] = br#"{"type":"faq","payload":{}}"#;

#[tokio::test]
async fn no_path_brings_the_gateway_down_or_leads_somewhere_else() {
    let site = Site::open().await;
    let long = "a".repeat(8_000);
    let segments = [
        "%00",
        "%2e%2e",
        "..",
        "%2e%2e%2ftasks",
        "..%2f..%2fadmin",
        "%ff%fe",
        "%",
        "%zz",
        "%C3%A9",
        "%F0%9F%98%80",
        "a%0d%0ab",
        "*",
        "'",
        "%7B0%7D",
        "-1",
        "019ab3c4-0000-7000-8000-00007712000",
        "019AB3C4000070008000000077120000%20",
        "%20",
        ";",
        "{id}",
        ":id",
        &long,
    ];

    let refused = async {
        for segment in segments {
            for (method, before, after) in [
                ("GET", "/tasks/", ""),
                ("GET", "/tasks/", "/events"),
                ("POST", "/tasks/", "/cancel"),
                ("GET", "/agents/", ""),
                ("GET", "/approvals/", ""),
                ("GET", "/", ""),
            ] {
                let line = format!("{method} {before}{segment}{after}");
                let bytes =
                    request(&line, b"content-type: application/json\r\n", br#"{"worker": "w1"}"#);
                let answer = site.raw(&bytes).await;
                assert!((400..500).contains(&answer.status), "{line:.100}: {answer:?}");
                answer.problem();
            }
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn no_query_brings_the_gateway_down() {
    let site = Site::open().await;
    let long = format!("limit={}", "9".repeat(20_000));
    for (query, status) in [
        ("limit=%ff", 400),
        ("limit=10&limit=x", 400),
        ("limit=x&limit=10", 400),
        (&long, 400),
        ("cursor=%00", 400),
        ("cursor=%ff%fe", 400),
        ("status=%F0%9F%98%80", 400),
        ("priority=P0%00", 400),
        ("limit=%2b1", 200),
        ("limit=0x10", 400),
        ("=&=&==&&", 400),
        ("&&", 200),
        ("%=%zz", 400),
        ("unknown=1", 400),
        ("limit=10#x", 200),
    ] {
        let answer = site.raw(&request(&format!("GET /tasks?{query}"), b"", b"")).await;
        if status == 200 {
            answer.accepted(200)
        } else {
            answer.problem()
        };
        assert_eq!(answer.status, status, "{query:.80}: {answer:?}");
    }
    site.finish().await;
}

#[tokio::test]
async fn an_idempotency_key_that_cannot_be_kept_is_refused() {
    let site = Site::open().await;
    let long = "k".repeat(256);
    let huge = "k".repeat(30_000);

    let refused = async {
        for key in [
            &b""[..],
            b" ",
            b"a b",
            b"\xc3\xa9",
            b"\xff",
            b"a\tb",
            long.as_bytes(),
            huge.as_bytes(),
        ] {
            let headers =
                [b"content-type: application/json\r\nidempotency-key: ", key, b"\r\n"].concat();
            let answer = site.raw(&request("POST /tasks", &headers, SUBMISSION)).await;
            let problem = answer.refused(400, "unreadable-request");
            assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"), "{answer:?}");
        }
    };
    site.unchanged(refused).await;
    let most = "k".repeat(255);
    let call = site.call("crew", Method::POST, "/tasks").header("idempotency-key", most);
    call.json(&new_body("faq")).send().await.accepted(201);
    site.finish().await;
}

#[tokio::test]
async fn a_request_id_that_could_break_a_log_line_is_replaced() {
    let site = Site::open().await;
    let long = "x".repeat(129);

    for id in [&b"a b"[..], b"\xff\xfe", b"a\tb", b"", b"\x1b[31m", long.as_bytes()] {
        let headers = [b"x-request-id: ", id, b"\r\n"].concat();
        let answer = site.raw(&request("GET /stats", &headers, b"")).await;
        // What HTTP itself does not allow in a header never gets as far as a handler.
        if answer.status == 400 {
            answer.refused(400, "unreadable-request");
            assert!(id.contains(&0x1b), "{id:?}");
            continue;
        }
        answer.accepted(200);
        let own = answer.header("x-request-id").unwrap();
        assert!(own.len() == 36 && own.as_bytes() != id, "{own}");
    }
    let longest = "x".repeat(128);
    let answer =
        site.call("crew", Method::GET, "/stats").header("x-request-id", &longest).send().await;
    assert_eq!(answer.header("x-request-id"), Some(&*longest));
    site.finish().await;
}

#[tokio::test]
async fn a_content_type_is_read_by_its_essence_and_anything_but_json_is_refused() {
    let site = Site::open().await;

    for good in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.task+json"]
    {
        let headers = format!("content-type: {good}\r\n");
        site.raw(&request("POST /tasks", headers.as_bytes(), SUBMISSION)).await.accepted(201);
    }
    let refused = async {
        for bad in [
            &b"text/json"[..],
            b"multipart/form-data; boundary=x",
            b"json",
            b"\xff",
            b";",
            b"application/json+xml",
        ] {
            let headers = [b"content-type: ", bad, b"\r\n"].concat();
            let answer = site.raw(&request("POST /tasks", &headers, SUBMISSION)).await;
            answer.refused(415, "unsupported-media-type");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_compressed_body_is_refused_with_415() {
    let site = Site::open().await;
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV*\xa9,HU\xb2RJKLW\xaa\x05\0";

    let refused = async {
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("content-encoding", "GZIP"),
            ("content-encoding", "identity, gzip"),
            ("content-encoding", "br"),
            ("content-encoding", ""),
            ("content-encoding", "\u{e9}"),
        ] {
            for line in ["POST /tasks", "POST /tasks/x/cancel", "PATCH /tasks/x/status"] {
                let line = line.replace('x', "019ab3c4-0000-7000-8000-000077120000");
                let headers = format!("content-type: application/json\r\n{name}: {value}\r\n");
                for body in [&gzip[..], SUBMISSION] {
                    let answer = site.raw(&request(&line, headers.as_bytes(), body)).await;
                    let problem = answer.refused(415, "unsupported-media-type");
                    let detail = problem["detail"].as_str().unwrap();
                    assert!(detail.contains(name), "{value:?}: {detail}");
                }
            }
        }
        let head = request("POST /tasks", b"content-type: application/json\r\n", b"");
        let head = String::from_utf8(head).unwrap();
        let chunks = format!("{:x}\r\n", gzip.len());
        let coded = head.replace("content-length: 0", "transfer-encoding: gzip, chunked");
        let bytes = [coded.as_bytes(), chunks.as_bytes(), gzip, b"\r\n0\r\n\r\n"].concat();
        site.raw(&bytes).await.refused(415, "unsupported-media-type");
    };
    site.unchanged(refused).await;
    let plain = b"content-type: application/json\r\ncontent-encoding: Identity\r\n";
    site.raw(&request("POST /tasks", plain, SUBMISSION)).await.accepted(201);
    site.finish().await;
}

#[tokio::test]
async fn a_byte_order_mark_is_refused_by_its_name() {
    let site = Site::open().await;

    let refused = async {
        let body = [&b"\xef\xbb\xbf"[..], SUBMISSION].concat();
        let bytes = request("POST /tasks", b"content-type: application/json\r\n", &body);
        let problem = site.raw(&bytes).await.refused(400, "unreadable-request");
        assert!(problem["detail"].as_str().unwrap().contains("byte order mark"), "{problem}");
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn headers_that_are_no_text_are_refused_or_passed_over() {
    let site = Site::open().await;

    let key = site
        .raw(b"GET /stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: \xff\xfe\r\n\r\n")
        .await;
    key.refused(401, "unauthenticated");
    let bearer =
        site.raw(b"GET /stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer \xff\r\n\r\n").await;
    bearer.refused(401, "unauthenticated");
    let trace = b"content-type: application/json\r\ntraceparent: \xff\xfe\r\n";
    let task = site.raw(&request("POST /tasks", trace, SUBMISSION)).await.accepted(201);
    assert!(task["trace_id"].is_null(), "{task}");
    site.finish().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_in_kind_and_the_gateway_goes_on() {
    let site = Site::open().await;
    let key = key_of("crew");
    let many: String = (0..500).map(|nth| format!("x-{nth}: 1\r\n")).collect();

    let refused = async {
        for bytes in [
            b"NONSENSE\r\n\r\n".to_vec(),
            b"GET /stats HTTP/9.9\r\n\r\n".to_vec(),
            b"GET /st\0ats HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            format!(
                "POST /tasks HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: -1\r\n\r\n"
            )
            .into_bytes(),
            b"POST /tasks HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}"
                .to_vec(),
            format!("GET /stats HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\0\r\n\r\n").into_bytes(),
            format!("GET /stats HTTP/1.1\r\n{many}\r\n").into_bytes(),
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)).into_bytes(),
        ] {
            let answer = site.raw(&bytes).await;
            assert!((400..500).contains(&answer.status), "{answer:?}");
            answer.problem();
        }
    };
    site.unchanged(refused).await;
    site.submit(&new_body("faq")).await;
    site.finish().await;
}

#[tokio::test]
async fn a_body_that_ends_early_or_is_chunked_badly_stores_nothing() {
    let site = Site::open().await;
    let head = format!(
        "POST /tasks HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {}\r\ncontent-type: application/json\r\n",
        key_of("crew")
    );

    let refused = async {
        let bytes =
            format!("{head}transfer-encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n0\r\n\r\n").into_bytes();
        let answer = site.raw(&bytes).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let mut client = site.connect().await;
        let cut = format!("{head}content-length: 1000\r\n\r\n{}", r#"{"type":"faq","payload":{}}"#);
        tokio::io::AsyncWriteExt::write_all(&mut client, cut.as_bytes()).await.unwrap();
        drop(client);
    };
    site.unchanged(refused).await;
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n1b\r\n{}\r\n0\r\n\r\n",
        r#"{"type":"faq","payload":{}}"#
    );
    site.raw(chunked.as_bytes()).await.accepted(201);
    site.finish().await;
}

#[tokio::test]
async fn xml_is_refused_unread() {
    let site = Site::open().await;
    // Each start tag costs some readers of XML time and memory beyond its length.
    let names: String = (0..20_000).map(|nth| format!(" xmlns:a{nth}=\"u\" b{nth}=\"\"")).collect();
    let xml = format!("<?xml version=\"1.0\"?><task{names}/>");

    for kind in ["application/xml", "text/xml", "application/soap+xml"] {
        let call = site.call("crew", Method::POST, "/tasks").of_type(kind, xml.as_bytes());
        call.send().await.refused(415, "unsupported-media-type");
    }

    let document = include_str!("../../../openapi/openapi.yaml");
    assert!(!document.contains("/xml") && !document.contains("+xml"));
    site.finish().await;
}
