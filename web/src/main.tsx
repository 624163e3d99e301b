document.title='chatgauge'
