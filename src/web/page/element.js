/**
 * The page's elements: found by their ids, and made. Text becomes text and nothing else, whoever wrote it.
 */

/** The element of the page with this id. */
export function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** A new element; what is undefined or null is left out. Children that are no elements become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) made.setAttribute(attribute, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** Makes items a list's children. What is there already keeps the focus, and is not touched where it stays in its place. */
export function arrange(list, items) {
  const focused = document.activeElement;
  for (const child of [...list.children]) if (!items.includes(child)) child.remove();
  items.forEach((item, at) => {
    if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
  });
  if (list.contains(focused)) focused.focus();
}

/** A name, whose writing direction changes nothing around it. */
export function nameOf({ username }, className) {
  return element('bdi', { class: className }, username);
}

/** A disc with a letter, in a colour that goes with an id. It tells nothing that does not stand beside it. */
export function disc(text, id) {
  const [letter = ''] = text.trim();
  const made = element('span', { class: 'disc', 'aria-hidden': 'true' }, letter.toUpperCase());
  made.style.setProperty('--hue', (id * 137) % 360);
  return made;
}

/** Says something to those who listen to the page rather than see it. */
export function announce(text) {
  const announcer = find('announcer');
  announcer.append(element('p', {}, text));
  while (announcer.childElementCount > 5) announcer.firstElementChild.remove();
}

/** What a failed call has to say. */
export function sentence(error) {
  if (error.code === 'no_answer') return 'The server does not answer just now.';
  // It begins with the name of what was given.
  if (error.code === 'bad_parameter') return `The ${error.message}`;
  return error.message;
}

/**
 * Shows a dialog and does what its form asks for, by `done`; where that fails the dialog stays and says why.
 * The browser gives the focus back to what had it.
 */
export function ask(id, done) {
  const dialog = find(id);
  const form = dialog.querySelector('form');
  const error = find(`${id}-error`);
  error.textContent = '';
  let isAsking = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    // Whoever presses twice means it once.
    if (isAsking) return;
    isAsking = true;
    try {
      await done();
      dialog.close();
    } catch (failure) {
      error.textContent = sentence(failure);
    }
    isAsking = false;
  };
  find(`${id}-cancel`).onclick = () => dialog.close();
  dialog.showModal();
}
