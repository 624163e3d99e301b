// Made by web/build.mjs; do not edit.

/// The path of the page itself.
const INDEX: &str = "index.html";

/// Every file of the page.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/app-8cb7b3475a91.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "8cb7b3475a91",
        plain: include_bytes!("app-8cb7b3475a91.js"),
        gzip: include_bytes!("app-8cb7b3475a91.js.gz"),
        brotli: include_bytes!("app-8cb7b3475a91.js.br"),
    },
    Asset {
        path: "assets/style-abd86a05097a.css",
        content_type: "text/css; charset=utf-8",
        hash: "abd86a05097a",
        plain: include_bytes!("style-abd86a05097a.css"),
        gzip: include_bytes!("style-abd86a05097a.css.gz"),
        brotli: include_bytes!("style-abd86a05097a.css.br"),
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
        hash: "558f318bd2a5",
        plain: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
        brotli: include_bytes!("index.html.br"),
    },
];
