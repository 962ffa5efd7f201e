//! Where a request comes from, as its browser says: a write by a session counts only from the
//! gateway's own page.

use poem::http::HeaderMap;

use super::super::origins::is_own;

/// The header by which a browser says from what site the request comes.
const FETCH_SITE: &str = "sec-fetch-site";

/// Where a request comes from, as the browser says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// A page of the gateway itself.
    Same,
    /// Something else.
    Foreign,
    /// The client does not say, so it is no browser.
    Unknown,
}

impl Site {
    /// Returns what the headers of a request say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let same = |is_same: bool| if is_same { Self::Same } else { Self::Foreign };
        if let Some(site) = headers.get(FETCH_SITE) {
            return same(site == "same-origin");
        }
        is_own(headers).map_or(Self::Unknown, same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(*name, value.parse().unwrap());
            headers
        })
    }

    #[test]
    fn a_browser_says_whether_a_request_comes_from_its_own_page() {
        for (lines, expected) in [
            (&[][..], Site::Unknown),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], Site::Same),
            (&[("sec-fetch-site", "same-site")], Site::Foreign),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a")], Site::Foreign),
            (&[("sec-fetch-site", "none")], Site::Foreign),
            (&[("origin", "https://a:1"), ("host", "a:1")], Site::Same),
            (&[("origin", "https://a:1"), ("host", "a:2")], Site::Foreign),
            (&[("origin", "null"), ("host", "null")], Site::Foreign),
            (&[("origin", "https://a")], Site::Foreign),
        ] {
            assert_eq!(Site::of(&headers(lines)), expected, "{lines:?}");
        }
    }
}
