/** A whole stream, piece by piece out of the kernel, into a file of the browser. */

import { textOf } from "./asker.js";
import { setAttribute } from "./dom.js";
import { inflate } from "./link.js";
import { labelButton, viewerButton } from "./viewerparts.js";

/** @import { Asker } from "./asker.js" */
/** @import { Stream } from "./messages.js" */

/** The notebook server drops a client that it owes more than 1 MB a second. */
const BYTES_PER_SECOND = 700_000;

/** When the next piece may be asked for, over all downloads of the page. */
let nextPieceAt = 0;

const DOWNLOAD_TITLE = "Download all of it";

/** Starts a download, shows how far it is, and cancels it. */
export class DownloadButton {
  /**
   * @param {object} host
   * @param {Asker} host.asker
   * @param {() => Stream[]} host.streams that are wanted, one file each
   * @param {() => string} host.name of the process
   */
  constructor(host) {
    this.host = host;
    /** @type {Download | null} */
    this.running = null;
    this.element = viewerButton("download", DOWNLOAD_TITLE, () => this.#clicked());
  }

  #clicked() {
    if (this.running) this.running.cancel();
    else this.#run();
  }

  async #run() {
    this.#setTitle("Cancel the download");
    try {
      for (const stream of this.host.streams()) if (!(await this.#save(stream))) break;
    } catch (error) {
      this.host.asker.fail(`download: ${textOf(error)}`);
    }
    this.running = null;
    labelButton(this.element, "");
    this.#setTitle(DOWNLOAD_TITLE);
  }

  /** @param {Stream} stream @returns {Promise<boolean>} */
  #save(stream) {
    labelButton(this.element, "0 %");
    this.running = new Download({
      asker: this.host.asker, stream, filename: logFilename(this.host.name(), stream),
      onProgress: (share) => labelButton(this.element, `${Math.floor(share * 100)} %`),
    });
    return this.running.run();
  }

  /** @param {string} title */
  #setTitle(title) {
    setAttribute(this.element, "title", title);
    setAttribute(this.element, "aria-label", title);
  }

  destroy() {
    this.running?.cancel();
  }
}

class Download {
  /**
   * @param {object} job
   * @param {Asker} job.asker
   * @param {Stream} job.stream
   * @param {string} job.filename
   * @param {(share: number) => void} job.onProgress 0 to 1
   */
  constructor({ asker, stream, filename, onProgress }) {
    this.asker = asker;
    this.stream = stream;
    this.filename = filename;
    this.onProgress = onProgress;
    this.cancelled = false;
    /** @type {(() => void) | null} */
    this.wake = null;
  }

  cancel() {
    this.cancelled = true;
    this.wake?.();
  }

  /** @returns {Promise<boolean>} whether the file was saved; false when cancelled */
  async run() {
    /** @type {Blob[]} */
    const parts = [];
    let offset = 0;
    for (let last = false; !last;) {
      const piece = await this.#piece(offset);
      if (this.cancelled) return false;
      parts.push(piece.bytes);
      offset += piece.bytes.size;
      last = piece.last;
      this.onProgress(piece.size > 0 ? Math.min(offset / piece.size, 1) : 1);
    }
    saveFile(new Blob(parts, { type: "text/plain" }), this.filename);
    return true;
  }

  /** @param {number} offset @returns {Promise<{bytes: Blob, size: number, last: boolean}>} */
  async #piece(offset) {
    await this.#turn();
    if (this.cancelled) return { bytes: new Blob(), size: 0, last: true };
    const asked = performance.now();
    const { answer: { offset: begin, size, last }, buffers: [packed] } = await this.asker.askQuietly(
      { do: "chunk", stream: this.stream, offset },
    );
    if (begin !== offset) throw new Error("the pieces of the output don't fit together");
    nextPieceAt = Math.max(nextPieceAt, asked) + (packed.byteLength / BYTES_PER_SECOND) * 1000;
    const bytes = await inflate(packed);
    if (!bytes.size && !last) throw new Error("the output ended too early");
    return { bytes, size, last };
  }

  #turn() {
    const wait = nextPieceAt - performance.now();
    if (wait <= 0) return Promise.resolve();
    return /** @type {Promise<void>} */ (new Promise((resolve) => {
      this.wake = () => resolve();
      setTimeout(resolve, wait);
    }));
  }
}

/** @param {string} name @param {string} stream @returns {string} a name that every file system takes */
function logFilename(name, stream) {
  const plain = name.normalize("NFC").replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^[._]+|[._]+$/g, "");
  return `${plain.slice(0, 100) || "output"}-${stream}.log`;
}

/** @param {Blob} blob @param {string} filename */
function saveFile(blob, filename) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = filename;
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
  // Large files are still being read when the click returns.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
