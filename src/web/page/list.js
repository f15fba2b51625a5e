/**
 * The list of chatrooms, in which each is a link; and with it what a chatroom is called.
 */
import { disc, element, find } from '/page/element.js';

const MOST = 99;

export class List {
  #chatrooms;
  #user;
  #items = new Map();
  #wasOpen;

  constructor(chatrooms, user, signal) {
    this.#chatrooms = chatrooms;
    this.#user = user;
    find('list').addEventListener('keydown', (event) => this.#move(event), { signal });
  }

  update() {
    const rooms = this.#chatrooms.all;
    const list = find('list');
    const focused = document.activeElement;
    const items = rooms.map((room) => this.#item(room));
    // What stays where it is is not touched: it may have the focus, or be read just now.
    items.forEach((item, at) => {
      if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
    });
    while (list.childElementCount > items.length) list.lastElementChild.remove();
    if (list.contains(focused)) focused.focus();
    this.#showOpen();
    find('list-empty').hidden = rooms.length > 0;
  }

  /** Whoever opens one finds it in the list. */
  #showOpen() {
    const { open } = this.#chatrooms;
    if (open === this.#wasOpen) return;
    this.#wasOpen = open;
    this.#items.get(open)?.item.scrollIntoView({ block: 'nearest' });
  }

  #item(room) {
    const title = room.title(this.#user);
    const { id, unread } = room;
    const isOpen = id === this.#chatrooms.open;
    const looks = JSON.stringify([title, unread, isOpen]);
    const known = this.#items.get(id);
    if (known?.looks === looks) return known.item;
    const item = known?.item ?? element('li');
    const link = item.firstElementChild ?? item.appendChild(element('a', { href: `#${id}` }));
    link.replaceChildren(disc(title, id), element('bdi', { class: 'name' }, title), unread > 0 ? badge(unread) : '');
    link.toggleAttribute('data-unread', unread > 0);
    if (isOpen) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    this.#items.set(id, { item, looks });
    return item;
  }

  /** The arrows go from one to the next. */
  #move(event) {
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    const next = step && event.target.closest('li')?.[step];
    if (!next) return;
    event.preventDefault();
    next.firstElementChild.focus();
  }
}

function badge(unread) {
  const text = unread > MOST ? `${MOST}+` : unread;
  return element('span', { class: 'badge' }, text, element('span', { class: 'unseen' }, ' unread'));
}
