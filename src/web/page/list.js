/**
 * The list of chatrooms, in which each is a link; and with it what a chatroom is called.
 */
import { arrange, disc, element, find } from '/page/element.js';

const MOST = 99;

export class List {
  #chatrooms;
  #outbox;
  #user;
  #items = new Map();
  #wasOpen;

  constructor(chatrooms, outbox, user, signal) {
    this.#chatrooms = chatrooms;
    this.#outbox = outbox;
    this.#user = user;
    find('list').addEventListener('keydown', (event) => this.#move(event), { signal });
  }

  update() {
    const rooms = this.#chatrooms.all;
    arrange(find('list'), rooms.map((room) => this.#item(room)));
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
    const hasFailed = this.#outbox.of(id).some(({ failure }) => failure);
    const looks = JSON.stringify([title, unread, isOpen, hasFailed]);
    const known = this.#items.get(id);
    if (known?.looks === looks) return known.item;
    const item = known?.item ?? element('li');
    const link = item.firstElementChild ?? item.appendChild(element('a', { href: `#${id}` }));
    const failed = hasFailed ? element('span', { class: 'badge failed' }, '!', element('span', { class: 'unseen' }, ' not sent')) : '';
    link.replaceChildren(disc(title, id), element('bdi', { class: 'name' }, title), failed, unread > 0 ? badge(unread) : '');
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
