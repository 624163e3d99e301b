// Made by web/build.mjs; do not edit.

/// The path of the page itself.
const INDEX: &str = "index.html";

/// Every file of the page.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/app-6fa071f8d06c.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "6fa071f8d06c",
        plain: include_bytes!("app-6fa071f8d06c.js"),
        gzip: include_bytes!("app-6fa071f8d06c.js.gz"),
        brotli: include_bytes!("app-6fa071f8d06c.js.br"),
    },
    Asset {
        path: "assets/style-7bdd5b25668d.css",
        content_type: "text/css; charset=utf-8",
        hash: "7bdd5b25668d",
        plain: include_bytes!("style-7bdd5b25668d.css"),
        gzip: include_bytes!("style-7bdd5b25668d.css.gz"),
        brotli: include_bytes!("style-7bdd5b25668d.css.br"),
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
        hash: "b0ea8527b5e5",
        plain: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
        brotli: include_bytes!("index.html.br"),
    },
];
