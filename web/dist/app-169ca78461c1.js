document.title="chatgauge";
