// Made by web/build.mjs; do not edit.

/// The path of the page itself.
const INDEX: &str = "index.html";

/// Every file of the page.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/app-012e1ae2bf5c.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "012e1ae2bf5c",
        plain: include_bytes!("app-012e1ae2bf5c.js"),
        gzip: include_bytes!("app-012e1ae2bf5c.js.gz"),
        brotli: include_bytes!("app-012e1ae2bf5c.js.br"),
    },
    Asset {
        path: "assets/style-9b4ca8431781.css",
        content_type: "text/css; charset=utf-8",
        hash: "9b4ca8431781",
        plain: include_bytes!("style-9b4ca8431781.css"),
        gzip: include_bytes!("style-9b4ca8431781.css.gz"),
        brotli: include_bytes!("style-9b4ca8431781.css.br"),
    },
    Asset {
        path: "assets/icon-b861552f8340.svg",
        content_type: "image/svg+xml",
        hash: "b861552f8340",
        plain: include_bytes!("icon-b861552f8340.svg"),
        gzip: include_bytes!("icon-b861552f8340.svg.gz"),
        brotli: include_bytes!("icon-b861552f8340.svg.br"),
    },
    Asset {
        path: "assets/licences-0a28abecb5b8.txt",
        content_type: "text/plain; charset=utf-8",
        hash: "0a28abecb5b8",
        plain: include_bytes!("licences-0a28abecb5b8.txt"),
        gzip: include_bytes!("licences-0a28abecb5b8.txt.gz"),
        brotli: include_bytes!("licences-0a28abecb5b8.txt.br"),
    },
    Asset {
        path: "index.html",
        content_type: "text/html; charset=utf-8",
        hash: "4c4c95343b08",
        plain: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
        brotli: include_bytes!("index.html.br"),
    },
];
