/*
 * ConsentLedger's sign-up form for any page, without dependencies and without a build step:
 *
 *   <script src="https://consent.example.org/embed/signup.js" defer></script>
 *   <consent-signup form="newsletter"></consent-signup>
 *
 * or for a plain <form data-challenge method="post" action="https://consent.example.org/signup/newsletter">: the work that
 * a form may ask for. All words come from the service, in the language of the page around the form. README.md says more.
 */
(() => {
  'use strict';

  const home = document.currentScript && new URL('../', document.currentScript.src).href;

  // SHA-256 (FIPS 180-4) of one block, which is at most 55 characters of ASCII. The browser's own takes longer to call
  // than this takes to run, and is not there on pages without TLS.
  const primes = [];
  for (let n = 2; primes.length < 64; n++) {
    if (primes.every((prime) => n % prime)) primes.push(n);
  }
  const fraction = (x) => (x % 1) * 2 ** 32 | 0;
  const K = primes.map((prime) => fraction(Math.cbrt(prime)));
  const H = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
  const W = new Int32Array(64);

  /** With how many zero bits the hash of a text begins, as far as its first 32. */
  function zeroBits(text) {
    W.fill(0, 0, 15);
    for (let i = 0; i < text.length; i++) W[i >> 2] |= text.charCodeAt(i) << (24 - 8 * (i & 3));
    W[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3));
    W[15] = 8 * text.length;
    let [a, b, c, d, e, f, g, h] = H;
    for (let i = 0; i < 64; i++) {
      if (i > 15) {
        const x = W[i - 15], y = W[i - 2];
        W[i] = W[i - 16] + W[i - 7]
          + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3)
          + ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10);
      }
      const one = h + K[i] + W[i] + ((e & f) ^ (~e & g)) + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7));
      const two = ((a & b) ^ (a & c) ^ (b & c)) + ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10));
      h = g; g = f; f = e; e = d + one | 0; d = c; c = b; b = a; a = one + two | 0;
    }
    return Math.clz32(a + H[0] | 0);
  }

  /** Does the work that a form asks for, in slices short enough that the page stays responsive. */
  async function solve(url) {
    const { challenge, bits } = await (await ask(url + '/challenge')).json();
    for (let number = 0; ; await new Promise((resolve) => setTimeout(resolve))) {
      for (const pause = performance.now() + 16; performance.now() < pause;) {
        for (let i = 0; i < 64; i++, number++) {
          if (zeroBits(challenge + '.' + number) >= bits) return { challenge, solution: String(number) };
        }
      }
    }
  }

  async function ask(url) {
    const answer = await fetch(url, { headers: { accept: 'application/json' }, credentials: 'omit' });
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    return answer;
  }

  // A plain form. When the work can't be done it is sent all the same: the service then asks for one more step.
  const atWork = new WeakSet();
  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches('form[data-challenge]')) return;
    event.preventDefault();
    if (atWork.has(form)) return;
    atWork.add(form);
    try {
      const url = new URL(form.getAttribute('action') || '', document.baseURI);
      for (const [name, value] of Object.entries(await solve(url.origin + url.pathname))) {
        (form.querySelector(`input[name=${name}]`) || form.appendChild(make('input', { type: 'hidden', name }))).value = value;
      }
    } catch (reason) {
      console.warn('ConsentLedger:', reason);
    }
    atWork.delete(form);
    HTMLFormElement.prototype.submit.call(form);
  });

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { display: block; --accent: var(--consent-accent, #1f5c63); --radius: var(--consent-radius, .4rem) }
    :host([hidden]) { display: none }
    form, [part=done] { display: grid; gap: var(--consent-gap, 1rem) }
    * { box-sizing: border-box }
    p, blockquote, fieldset { margin: 0; padding: 0; border: 0; min-width: 0 }
    label, legend, [part=name] { display: block; font-weight: 600; margin-bottom: .3rem }
    .choice { display: flex; gap: .6rem; align-items: center; min-height: 1.75rem; font-weight: inherit; margin: 0 }
    .choice input { width: 1.25rem; height: 1.25rem; flex: none; margin: 0; accent-color: var(--accent) }
    [part=input] { display: block; width: 100%; min-height: 2.75rem; padding: .5rem .75rem; font: inherit;
      color: var(--consent-field-ink, FieldText); background: var(--consent-field, Field);
      border: 1px solid var(--consent-line, #767676); border-radius: var(--radius) }
    [part=wording] { padding: .2rem 0 .2rem .9rem; border-left: 3px solid var(--accent); white-space: pre-line; margin: .3rem 0 }
    [part=button] { min-height: 2.75rem; padding: .6rem 1.4rem; font: inherit; font-weight: 600; cursor: pointer; justify-self: start;
      color: var(--consent-on-accent, #fff); background: var(--accent); border: 2px solid var(--accent); border-radius: var(--radius) }
    [part=error] { color: var(--consent-error, inherit); font-weight: 600 }
    [part=error]:empty, [part=status]:empty { display: none }
    [aria-invalid=true] { border: 2px solid var(--consent-error, currentColor) }
    a { color: inherit }
    :focus-visible { outline: 3px solid currentColor; outline-offset: 2px }
    .trap { position: absolute; left: -200vw }`);

  /** An element with properties (or attributes, for names with a hyphen) and children; what is null is left out. */
  function make(name, properties, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (value == null) continue;
      if (key.includes('-') || key === 'part') element.setAttribute(key, value);
      else element[key] = value;
    }
    element.append(...children.flat(Infinity).filter((child) => child != null));
    return element;
  }

  class ConsentSignup extends HTMLElement {
    async connectedCallback() {
      if (this.shadowRoot || this.loading) return;
      this.loading = true;
      const language = (this.closest('[lang]')?.lang || '').split('-')[0];
      this.page = `${this.getAttribute('service')?.replace(/\/?$/, '/') ?? home}signup/${this.getAttribute('form')}`;
      try {
        this.about = await (await ask(`${this.page}?lang=${language}`)).json();
        this.show();
      } catch (reason) {
        // What stands inside the element is shown as long as it has no form; without anything, a link.
        console.warn('ConsentLedger:', reason);
        if (!this.hasChildNodes()) this.append(make('a', { href: this.page }, language === 'cy' ? 'Cofrestru' : 'Sign up'));
      }
      this.loading = false;
    }

    show() {
      const { about } = this, { texts, purposes, fields } = about, many = purposes.length > 1;
      const error = (name) => make('p', { id: 'error-' + name, part: 'error' });
      const labelled = (name, label, properties) => make('div', { part: 'field' },
        make('label', { htmlFor: name, part: 'label' }, label),
        make('input', { id: name, name, type: 'text', maxLength: 200, part: 'input', 'aria-describedby': 'error-' + name, ...properties }),
        error(name));
      const hidden = (name, value) => make('input', { type: 'hidden', name, value });
      const choice = (type, name, value, label, properties) =>
        make('label', { className: 'choice', part: 'choice' }, make('input', { type, name, value, ...properties }), label);
      const group = (name, legend, ...choices) =>
        make('fieldset', { part: 'fieldset', 'aria-describedby': 'error-' + name }, make('legend', { part: 'legend' }, legend), choices, error(name));
      const wording = ({ key, name, description, notice }) => make('div', { id: 'wording-' + key, part: 'purpose' },
        many ? null : make('p', { part: 'name' }, name),
        description && make('p', { part: 'description' }, description),
        notice && make('blockquote', { part: 'wording', lang: notice.language }, notice.statement),
        notice?.privacyNoticeUrl && make('a', { part: 'privacy', href: notice.privacyNoticeUrl, rel: 'noreferrer' }, texts.privacy));

      this.status = make('p', { role: 'status', part: 'status' });
      this.form = make('form', { part: 'form', noValidate: true, lang: about.language, method: 'post', action: this.page },
        hidden('language', about.language),
        purposes.map(({ key, notice }) => notice && hidden('notice-' + key, notice.version)),
        many
          ? group('purposes', texts.choose, purposes.map((purpose) => [
            choice('checkbox', 'purposes', purpose.key, purpose.name, { 'aria-describedby': 'wording-' + purpose.key }), wording(purpose)]))
          : [hidden('purposes', purposes[0].key), wording(purposes[0])],
        labelled('address', texts.address, { type: 'email', autocomplete: 'email', required: true, maxLength: 320 }),
        fields.map(({ name, label, autocomplete }) => labelled(name, label, { autocomplete })),
        about.minimumAge && [
          group('age', texts.age, choice('radio', 'age', 'over', texts.over), choice('radio', 'age', 'under', texts.under)),
          labelled('guardian', texts.guardian, { type: 'email', maxLength: 320 })],
        make('p', { className: 'trap', 'aria-hidden': 'true' },
          make('label', { htmlFor: 'comment' }, texts.trap), make('input', { id: 'comment', name: 'comment', tabIndex: -1, autocomplete: 'off' })),
        make('button', { part: 'button', 'aria-describedby': many ? null : 'wording-' + purposes[0].key }, texts.button),
        make('p', { part: 'next' }, texts.next),
        this.status);
      this.form.addEventListener('submit', (event) => {
        event.preventDefault();
        this.send();
      });
      const root = this.attachShadow({ mode: 'open' });
      root.adoptedStyleSheets = [sheet];
      root.append(this.form);
    }

    /** Says what is wrong where it is wrong, and goes to the first of it. */
    complain(wrong) {
      const { texts } = this.about, named = { address: texts.errorAddress, purposes: texts.errorPurposes, age: texts.errorAge, guardian: texts.errorGuardian };
      for (const place of this.shadowRoot.querySelectorAll('[part=error]')) {
        const name = place.id.slice(6), bad = wrong.includes(name);
        place.textContent = bad ? named[name] || texts.errorOther : '';
        for (const input of this.shadowRoot.querySelectorAll(`[name="${name}"]`)) input.setAttribute('aria-invalid', bad);
      }
      this.shadowRoot.querySelector('[aria-invalid=true]:not([type=hidden])')?.focus();
    }

    missing(data) {
      const isBad = (name) => {
        const input = this.shadowRoot.querySelector('#' + name);
        return !input.value.trim() || !input.validity.valid;
      };
      const needsAge = this.about.purposes.some(({ key, minimumAge }) => minimumAge && data.getAll('purposes').includes(key));
      return [
        isBad('address') && 'address',
        !data.has('purposes') && 'purposes',
        needsAge && !data.has('age') && 'age',
        needsAge && data.get('age') === 'under' && isBad('guardian') && 'guardian',
      ].filter(Boolean);
    }

    async send() {
      const { about, status } = this, data = new URLSearchParams(new FormData(this.form)), wrong = this.missing(data);
      if (this.sending) return;
      this.complain(wrong);
      if (wrong.length) return;
      this.sending = true;
      status.textContent = about.texts.working;
      try {
        await this.post(data, 2);
      } catch (reason) {
        console.warn('ConsentLedger:', reason);
        status.replaceChildren(about.texts.failed, ' ', make('a', { href: this.page }, about.texts.page));
      }
      this.sending = false;
    }

    async post(data, attempts) {
      const { about } = this;
      if (about.challenge) {
        for (const [name, value] of Object.entries(await solve(this.page))) data.set(name, value);
      }
      const answer = await fetch(this.page, {
        method: 'POST', body: data, headers: { accept: 'application/json' }, credentials: 'omit', referrerPolicy: 'no-referrer-when-downgrade',
      });
      if (answer.ok) return this.finish();
      const errors = Object.keys((answer.status === 400 && (await answer.json()).errors) || {});
      // Someone who was interrupted has an answer that is too old; a new one is a moment's work.
      if (attempts > 1 && errors.some((path) => path === 'challenge' || path === 'solution')) return this.post(data, attempts - 1);
      if (answer.status !== 429 && !errors.length) throw new Error(`${this.page} answers ${answer.status}`);
      this.status.textContent = answer.status === 429 ? about.texts.busy : '';
      this.complain(errors.map((path) => path.replace('fields.', '')));
      if (errors.length && !this.shadowRoot.querySelector('[aria-invalid=true]')) this.status.textContent = about.texts.errorOther;
    }

    finish() {
      const { about, form } = this, done = make('div', { part: 'done', tabIndex: -1, lang: about.language },
        make('p', { part: 'name' }, about.texts.sent), make('p', {}, about.texts.sentText), make('p', {}, about.texts.late));
      form.replaceWith(done);
      done.focus();
      this.dispatchEvent(new CustomEvent('consent-signup', { bubbles: true, composed: true, detail: { form: about.form } }));
    }
  }

  customElements.define('consent-signup', ConsentSignup);
})();
