// Hear one speaker, or all but one, where each has a channel: by Web Audio, which takes the sound over from then on.

export class Lanes {
  #elements;
  #context;
  #gains = new Map();
  #isHeard = () => true;

  constructor(elements) {
    this.#elements = elements;
  }

  // Let each channel be heard or not: `isHeard(element, channel)`. The first time must be in somebody's click.
  set(isHeard) {
    this.#isHeard = isHeard;
    if (!this.#context) this.#take();
    this.#context.resume();
    this.apply();
  }

  // Apply it again: another chunk may have another order of channels.
  apply() {
    for (const [element, gains] of this.#gains) {
      gains.forEach((gain, channel) => gain.gain.setTargetAtTime(this.#isHeard(element, channel) ? 1 : 0, this.#context.currentTime, 0.01));
    }
  }

  close() {
    this.#context?.close();
  }

  #take() {
    this.#context = new AudioContext();
    const most = Math.min(32, this.#context.destination.maxChannelCount > 0 ? 32 : 2);
    for (const element of this.#elements) {
      const source = this.#context.createMediaElementSource(element);
      const splitter = this.#context.createChannelSplitter(most);
      source.connect(splitter);
      this.#gains.set(element, Array.from({ length: most }, (_, channel) => {
        const gain = this.#context.createGain();
        splitter.connect(gain, channel);
        gain.connect(this.#context.destination);
        return gain;
      }));
    }
  }
}
