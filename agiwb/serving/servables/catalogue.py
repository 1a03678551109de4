"""The models of a server: what is served, under which labels, and a lease on it for a request.

Requests look a version up in a snapshot that is never changed, only replaced; see Harness for how a
lease keeps alive what it was given, and Upkeep for how versions come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from agiwb.errors import did_you_mean
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.admission import Admissions
from agiwb.serving.servables.announcements import Listener
from agiwb.serving.servables.harness import Harness, Lease, LoadedVersion
from agiwb.serving.servables.model_config import (
    ModelConfig,
    check_assignment,
    check_label,
    check_models,
)
from agiwb.serving.servables.model_versions import ModelVersions, ModelView
from agiwb.serving.servables.policy import Rule, preserve_availability
from agiwb.serving.servables.states import State, VersionStatus
from agiwb.serving.servables.upkeep import Loading, Upkeep, UpkeepPolicy
from agiwb.serving.status import Code, Refusal

__all__ = ["Catalogue", "LoadedVersion", "ModelConfig", "State", "VersionStatus"]

_NOTHING = ModelView()


class Catalogue:
    """The models of one server. Thread-safe."""

    def __init__(
        self,
        load: Loading,
        *,
        poll_s: float = 1.0,
        retries: int = 5,
        retry_wait_s: float = 60.0,
        always_present: bool = False,
        allow_labels_for_unavailable: bool = False,
        on_change: Listener | None = None,
        rule: Rule = preserve_availability,
        load_threads: int = 1,
        admissions: Admissions | None = None,
    ) -> None:
        """Make an empty catalogue; nothing is loaded before ``start``.

        Args:
            load: Returns the model in a version's folder, loaded and warm. What it raises becomes
                the reason in the version's status, with the model's name for its base path.
            poll_s: Seconds between two looks at the base paths; 0 looks once.
            retries: How often a load that failed is tried again. Once the files change, it is tried
                at once, and the count begins anew.
            retry_wait_s: Seconds between two attempts.
            always_present: Whether the loaded versions stay when the base path has none any more.
            allow_labels_for_unavailable: Whether a new label may point at a version that is not
                available.
            on_change: Called with model, version and state at every change, in order, from the
                catalogue's threads.
            rule: Which version comes or goes next.
            load_threads: How many versions are loaded at once.
            admissions: Decides when a loaded version may answer; by default at once.
        """
        policy = UpkeepPolicy(
            poll_s, retries, retry_wait_s, always_present, rule, load_threads, admissions
        )
        self._upkeep = Upkeep(load, policy, on_change)
        self._models = self._upkeep.models
        self._allow_unavailable = allow_labels_for_unavailable

    def start(self) -> None:
        """Begin to watch and load, in threads of the catalogue's own; once."""
        self._upkeep.start()

    def stop(self, drain_s: float = 10.0) -> None:
        """Give no new leases, and wait up to ``drain_s`` seconds for the last ones to end.

        What is still leased then is closed when its lease ends.
        """
        self._upkeep.stop(drain_s)

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Return whether every model has a version available; wait up to ``timeout_s`` seconds.

        Returns early when all that is missing has failed to load once, or has no version on disk.
        """
        return self._upkeep.wait_until(self._settled, timeout_s) and all(
            self.available(model.name) for model in self.models()
        )

    def configure(self, models: Sequence[ModelConfig]) -> None:
        """Serve exactly ``models``; what is not among them is unloaded.

        A loaded version stays as it was loaded, also if its model's base path changes. A new
        model's labels come into force as their versions become available; until then they are
        unknown. Those of a model already served change all at once or, with the error, not at all.

        Raises:
            InputError: A name does not fit in a URL.
            Refusal: A name is there twice; or, after all else is carried out, a label of a model
                already served points at a version that is not available.
        """
        check_models(models)
        with self._upkeep.changing():
            for name in self._models.keys() - {model.name for model in models}:
                self._models[name].remove()
            self._serve(models)

    def add(self, model: ModelConfig) -> None:
        """Serve ``model`` too, or from now on as given; the others are not touched.

        Raises:
            As ``configure``.
        """
        check_models([model])
        with self._upkeep.changing():
            self._serve([model])

    def remove(self, name: str) -> None:
        """Unload the model ``name``.

        Raises:
            Refusal: There is none.
        """
        with self._upkeep.changing():
            self._served(name).remove()

    def models(self) -> tuple[ModelConfig, ...]:
        """Return what is to be served, with the labels as they are now."""
        with self._upkeep.reading():
            return tuple(
                model.present_config() for model in self._models.values() if not model.removed
            )

    def lease(
        self, spec: ModelSpec, preferred: int | None = None
    ) -> AbstractContextManager[LoadedVersion]:
        """Return a context manager that gives the version ``spec`` asks for, and keeps it loaded.

        It costs about a microsecond, takes no lock, and may be held as long as needed and left in
        another thread. Entering it raises Refusal, in TensorFlow Serving's words: INVALID_ARGUMENT
        for an unknown label, NOT_FOUND for what is not available.

        Args:
            spec: What is asked for.
            preferred: The version to give if ``spec`` names none, such as a canary; if it is not
                available, the highest that is. Both are decided in one look, so a request does not
                fail because what was preferred is going at this moment.
        """
        return Lease(self._find, spec, preferred)

    def available(self, name: str) -> tuple[int, ...]:
        """Return the versions that answer, in ascending order; takes no lock."""
        return tuple(self._upkeep.snapshot.get(name, _NOTHING).ready)

    def set_label(self, name: str, label: str, version: int | None) -> None:
        """Point ``label`` at ``version`` of a model; None takes the label away.

        Raises:
            Refusal: NOT_FOUND for the model, INVALID_ARGUMENT for the label, FAILED_PRECONDITION
                for a version that is not available.
        """
        check_label(label)
        with self._upkeep.changing():
            model = self._served(name)
            if version is not None:
                self._check_label(model, label, version)
                model.labels[label] = version
            else:
                model.labels.pop(label, None)
            model.pending.pop(label, None)

    def labels(self, name: str) -> dict[str, int]:
        """Return the labels in force; takes no lock."""
        return dict(self._upkeep.snapshot.get(name, _NOTHING).labels)

    def admit(self, name: str, number: int) -> None:
        """Take note that the admission of a version that stands by has opened."""
        self._upkeep.admit(name, number)

    def dismiss(self, name: str, number: int) -> None:
        """Unload a version whose withdrawal was granted."""
        self._upkeep.dismiss(name, number)

    def hold_back(self, name: str, number: int, reason: str) -> None:
        """Have the status of a version that stands by tell what keeps it from being admitted."""
        self._upkeep.hold_back(name, number, reason)

    def status(self, spec: ModelSpec) -> tuple[VersionStatus, ...]:
        """Return the state of the version asked for, or of all, the highest first.

        As in TensorFlow Serving a label is not looked at, and versions that were unloaded are told
        as END; those of a model that was removed are forgotten once they are unloaded.

        Raises:
            Refusal: NOT_FOUND; there is and was no such version.
        """
        with self._upkeep.reading():
            model = self._models.get(spec.name)
            known = model.statuses() if model is not None else {}
        if spec.version is None and known:
            return tuple(known.values())
        if spec.version in known:
            return (known[spec.version],)
        which = "any versions" if spec.version is None else f"version {spec.version}"
        raise Refusal(
            Code.NOT_FOUND, f"Could not find {which} of model {spec.name}", self._advise(spec.name)
        )

    def _find(self, spec: ModelSpec, preferred: int | None) -> Harness:
        """Return what ``spec`` asks for, of the present snapshot."""
        view = self._upkeep.snapshot.get(spec.name, _NOTHING)
        number = spec.version
        if spec.label is not None:
            number = view.labels.get(spec.label)
            if number is None:
                raise Refusal(
                    Code.INVALID_ARGUMENT,
                    f"Unrecognized servable version label: {spec.label}",
                    f"Labels of {spec.name}: {', '.join(sorted(view.labels)) or 'none'}.",
                )
        if number is not None:
            harness = view.find(number)
        else:
            harness = view.find(preferred) if preferred is not None else None
            if harness is None:
                harness = view.find_newest()
        if harness is None:
            asked = ModelSpec(spec.name, number)
            raise Refusal(
                Code.NOT_FOUND,
                f"Servable not found for request: {asked}",
                self._advise(spec.name),
            )
        return harness

    def _advise(self, name: str) -> str:
        """Return what to do about a version that is not there."""
        snapshot = self._upkeep.snapshot
        if name not in snapshot:
            return did_you_mean(name, snapshot) if snapshot else "No model is served."
        if numbers := ", ".join(map(str, snapshot[name].ready)):
            return f"Available: {numbers}."
        return "Its status tells why none is available; its base path holds them, such as 1/."

    def _serve(self, configs: Sequence[ModelConfig]) -> None:
        """Serve as ``configs`` say, then relabel the models that were served already."""
        relabelled = [
            (self._models[config.name], config.labels)
            for config in configs
            if self._take_up(config)
        ]
        for model, labels in relabelled:
            for label, version in labels.items():
                if model.pending.get(label) != version:
                    self._check_label(model, label, version)
        for model, labels in relabelled:
            model.relabel(labels)

    def _take_up(self, config: ModelConfig) -> bool:
        """Serve as ``config`` says; return whether the model was served already."""
        model = self._models.get(config.name)
        served = model is not None and not model.removed
        if model is None:
            model = self._models[config.name] = ModelVersions(config, self._upkeep.tell)
        model.reconfigure(config)
        if not served:
            model.label_anew(config.labels, at_once=self._allow_unavailable)
        return served

    def _served(self, name: str) -> ModelVersions:
        model = self._models.get(name)
        if model is None or model.removed:
            raise Refusal(
                Code.NOT_FOUND, f"Could not find any versions of model {name}", self._advise(name)
            )
        return model

    def _check_label(self, model: ModelVersions, label: str, version: int) -> None:
        check_assignment(
            model.config.name,
            label,
            version,
            present=model.labels,
            available=model.ready(),
            allow_unavailable=self._allow_unavailable,
        )

    def _settled(self) -> bool:
        return all(model.settled() for model in self._models.values() if not model.removed)
