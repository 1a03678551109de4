// Tiles on JupyterLab's launcher: the workbench, the page that leads on, the reports,
// TensorBoard.
//
// JupyterLab takes in extensions by webpack's module federation, of which this is the whole contract
// written by hand: `init` is given the modules that all share, `get` gives ours. So there is nothing
// to compile. Voila reads extensions too, and has no launcher: there this adds nothing.

(() => {
  const FOLDER = "notebooks";
  const WORKBENCH = `${FOLDER}/00_tour.ipynb`;
  let shared = {};

  const drawing = (inside) =>
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#1976d2"
      stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round">${inside}</svg>`;
  const DRAWINGS = {
    workbench: drawing('<path d="M4 26h24M6 22l7-8 6 4 7-11"/><circle cx="26" cy="7" r="2"/>'),
    start: drawing('<circle cx="16" cy="16" r="11"/><path d="M20.5 11.5l-2.8 6.2-6.2 2.8 2.8-6.2z"/>'),
    reports: drawing('<path d="M8 4h11l5 5v19H8zM19 4v5h5M12 24v-5M16 24v-9M20 24v-3"/>'),
    tensorboard: drawing('<path d="M5 5v22h22M9 8c2 10 7 14 17 15M9 14c4 6 9 8 17 3"/>'),
  };

  async function load(name) {
    const versions = Object.values(shared[name] ?? {});
    return versions.length ? (await versions[0].get())() : null;
  }

  // Who opens it wants to see it: its only cell is run, unless it shows the workbench already.
  async function openWorkbench(app) {
    const panel = await app.commands.execute("docmanager:open", { path: WORKBENCH });
    if (!panel || panel.node.querySelector(".agiwb")) return;
    await Promise.all([panel.context.ready, panel.sessionContext.ready]);
    await app.commands.execute("notebook:run-all-cells");
  }

  function openBeside(app, path) {
    window.open(`${app.serviceManager.serverSettings.baseUrl}${path}`, "_blank", "noopener");
  }

  const tilesOf = (app) => ({
    workbench: {
      label: "Workbench",
      caption: "Train, compress, convert, serve and monitor, without code",
      execute: () => openWorkbench(app),
    },
    start: {
      label: "Start here",
      caption: "The page that leads through the notebooks",
      execute: () =>
        app.commands.execute("docmanager:open", {
          path: `${FOLDER}/start.md`, factory: "Markdown Preview",
        }),
    },
    reports: {
      label: "Reports",
      caption: "What stakeholders see of this workspace, in a new tab of the browser",
      execute: () => openBeside(app, "voila/tree/reports"),
    },
    tensorboard: {
      label: "TensorBoard",
      caption: "Curves of all trainings, in a new tab of the browser",
      execute: () => openBeside(app, "tensorboard/"),
    },
  });

  async function plugins() {
    const [launcher, pictures] = await Promise.all(
      ["@jupyterlab/launcher", "@jupyterlab/ui-components"].map(load),
    );
    if (!launcher || !pictures) return [];
    return [{
      id: "agiwb:launcher",
      autoStart: true,
      requires: [launcher.ILauncher],
      activate: (app, tiles) => {
        Object.entries(tilesOf(app)).forEach(([name, tile], rank) => {
          const command = `agiwb:${name}`;
          const icon = new pictures.LabIcon({ name: command, svgstr: DRAWINGS[name] });
          app.commands.addCommand(command, { ...tile, icon });
          tiles.add({ command, category: "agiwb", rank });
        });
      },
    }];
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB.agiwb = {
    init: async (modules) => { shared = modules; },
    get: async () => {
      const found = await plugins();
      return () => ({ __esModule: true, default: found });
    },
  };
})();
