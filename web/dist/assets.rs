// Made by web/build.mjs; do not edit.

/// The path of the page itself.
const INDEX: &str = "index.html";

/// Every file of the page.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/app-4a56cc1b7cfa.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "4a56cc1b7cfa",
        plain: include_bytes!("app-4a56cc1b7cfa.js"),
        gzip: include_bytes!("app-4a56cc1b7cfa.js.gz"),
        brotli: include_bytes!("app-4a56cc1b7cfa.js.br"),
    },
    Asset {
        path: "assets/style-744b1500cefe.css",
        content_type: "text/css; charset=utf-8",
        hash: "744b1500cefe",
        plain: include_bytes!("style-744b1500cefe.css"),
        gzip: include_bytes!("style-744b1500cefe.css.gz"),
        brotli: include_bytes!("style-744b1500cefe.css.br"),
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
        hash: "5fabe57bfb1b",
        plain: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
        brotli: include_bytes!("index.html.br"),
    },
];
