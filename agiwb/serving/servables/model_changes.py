"""What clients change of the models served: in bounds, one change after the other, and kept."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agiwb.errors import InputError
from agiwb.serving.servables.catalogue import Catalogue
from agiwb.serving.servables.model_config import ModelConfig, check_models
from agiwb.serving.servables.models_config import ModelsFile
from agiwb.serving.servables.policy import Specific
from agiwb.serving.status import Code, Refusal


class ModelChanges:
    """Changes of the models, for every protocol. Thread-safe.

    Whether the client may change anything at all is for the caller to check first. A change is
    written into the server's configuration, if it has one, so that it survives a restart.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        root: Path | None = None,
        models_file: ModelsFile | None = None,
    ) -> None:
        """Change ``catalogue``.

        Args:
            catalogue: The models served.
            root: Folder that added models must be in; None if none may be added.
            models_file: The server's configuration; None if there is none.
        """
        self.catalogue = catalogue
        self._root = root
        self._models_file = models_file
        # What is served is looked at, then changed, then written down: nobody else in between.
        self._changing = threading.Lock()

    def add(self, model: ModelConfig) -> None:
        """Serve one more model; its base path may be relative to the models' root.

        Raises:
            InputError: The name does not fit in a URL, or the base path is none.
            Refusal: ALREADY_EXISTS, PERMISSION_DENIED for a folder outside the root, NOT_FOUND for
                one that is not there.
        """
        path = self._confined(model.base_path)
        if not path.is_dir():
            raise Refusal(
                Code.NOT_FOUND,
                f"There is no folder {str(model.base_path)!r} below the root of the models.",
                "Publish a version there first.",
            )
        with self._changing:
            if any(known.name == model.name for known in self.catalogue.models()):
                raise Refusal(
                    Code.ALREADY_EXISTS,
                    f"A model {model.name!r} is served already.",
                    "Remove it first, or choose another name.",
                )
            self.catalogue.add(replace(model, base_path=path))
            self._keep(model.name)

    def replace_all(self, models: Sequence[ModelConfig]) -> None:
        """Serve exactly ``models``; a base path may also be one that is served from already.

        Raises:
            InputError: A name does not fit in a URL, or a base path is none.
            Refusal: PERMISSION_DENIED, a folder is elsewhere; a name is there twice; or, after all
                else is carried out, a label points at a version that is not available.
        """
        check_models(models)
        with self._changing:
            known = {model.base_path for model in self.catalogue.models()}
            confined = [
                model
                if model.base_path in known
                else replace(model, base_path=self._confined(model.base_path))
                for model in models
            ]
            try:
                self.catalogue.configure(confined)
            finally:  # also after a label that was refused
                if self._models_file is not None:
                    self._models_file.replace_all(self.catalogue.models())

    def remove(self, name: str) -> None:
        """Serve the model ``name`` no longer; raise Refusal if there is none."""
        with self._changing:
            self.catalogue.remove(name)
            if self._models_file is not None:
                self._models_file.drop(name)

    def serve_also(self, name: str, version: int) -> None:
        """Have ``version`` loaded beside those of the model ``name`` that answer."""
        with self._changing:
            config = self.config(name)
            numbers = {*self.catalogue.available(name), version}
            self.catalogue.add(replace(config, policy=Specific(tuple(sorted(numbers)))))
            self._keep(name)

    def set_label(self, name: str, label: str, version: int | None) -> None:
        """Point ``label`` at ``version``, None for nowhere; raise as the catalogue does."""
        with self._changing:
            self.catalogue.set_label(name, label, version)
            self._keep(name)

    def reload(self) -> None:
        """Serve what the configuration says now.

        Raises:
            ConfigError: The file is not such a file.
            Refusal: FAILED_PRECONDITION, there is no configuration.
        """
        if self._models_file is None:
            raise Refusal(
                Code.FAILED_PRECONDITION,
                "This server has no configuration file to read again.",
                "Start it with one, or add and remove models under /admin/v1/models.",
            )
        with self._changing:
            self.catalogue.configure(self._models_file.read())

    def config(self, name: str) -> ModelConfig:
        """Return the model ``name`` as it is served now; raise Refusal if there is none."""
        for model in self.catalogue.models():
            if model.name == name:
                return model
        raise Refusal(Code.NOT_FOUND, f"No model {name!r} is served.")

    def _keep(self, name: str) -> None:
        """Write a model's entry, as it is now, into the configuration."""
        if self._models_file is not None:
            self._models_file.put(self.config(name))

    def _confined(self, base_path: Path) -> Path:
        """Return the folder meant, which is inside the root even if there are symbolic links."""
        if self._root is None:
            raise Refusal(
                Code.PERMISSION_DENIED,
                "This server does not let models be added.",
                "Start it with a root folder for models: `--models-root`.",
            )
        root = self._root.resolve()
        try:
            path = (root / base_path).resolve()
            path.is_dir()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{str(base_path)!r} cannot be the path of a folder.",
                "Give one below the models' root.",
            ) from error
        if not path.is_relative_to(root) or path == root:
            raise Refusal(
                Code.PERMISSION_DENIED,
                f"The folder {str(base_path)!r} is not below the root of the models.",
                "Give a path below that root.",
            )
        return path
