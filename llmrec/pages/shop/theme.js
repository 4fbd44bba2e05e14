/* Before anything is painted: the theme that was chosen here, if the system's own was not wanted. */
(() => {
  try {
    const chosen = localStorage.getItem("llmrec.theme");
    if (chosen) document.documentElement.dataset.theme = chosen;
  } catch {
    /* storage is forbidden: the system's theme stays */
  }
})();
