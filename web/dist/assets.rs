// Made by web/build.mjs; do not edit.

/// The path of the page itself.
const INDEX: &str = "index.html";

/// Every file of the page.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/app-535b16909ec5.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "535b16909ec5",
        plain: include_bytes!("app-535b16909ec5.js"),
        gzip: include_bytes!("app-535b16909ec5.js.gz"),
        brotli: include_bytes!("app-535b16909ec5.js.br"),
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
        hash: "d9ce25f86e8f",
        plain: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
        brotli: include_bytes!("index.html.br"),
    },
];
