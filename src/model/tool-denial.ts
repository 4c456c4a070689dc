/**
 * Recognises a reply that denies a tool which the model has: "I don't have permission to use
 * sessions_spawn". Models say so out of habit; a person who believed them would give up.
 *
 * By rules over the common ways to say it in some languages, sentence by sentence. It would rather
 * miss one than take a true sentence for a denial: a condition ("until you…"), a quotation, or a
 * sentence about children is none, and for tools other than those that start children only a missing
 * right or tool counts, since "I can't use exec for that" may well be a decision.
 *
 * Not here: whether the tool is really there, and whether it was called; the caller knows.
 */

/** Longer replies are looked at from their beginning, where such a sentence stands. */
const LOOKED_AT_MAX_CHARS = 4_000;
/** What a sentence about delegation in general is taken to mean. */
const SPAWN_TOOL = "sessions_spawn";

/** Says that a right or the tool itself is missing. */
const MISSING = new RegExp(
  [
    // English
    String.raw`\b(?:do(?:n['’]t| not)|does(?:n['’]t| not)|did(?:n['’]t| not)) (?:currently |actually |seem to |really |yet )*have (?:the |any |a |direct )*(?:necessary |required )?(?:permissions?|access|ability|authori[sz]ation|rights?|privileges?|capabilit(?:y|ies)|tools?|functions?|${SPAWN_TOOL})\b`,
    String.raw`\b(?:have|has|there(?: is|['’]s)) no (?:\S+ )?(?:permissions?|access|tools?|abilit(?:y|ies)|way to|authori[sz]ation)\b`,
    String.raw`\b(?:lack|lacking) (?:the |any )?(?:necessary |required )?(?:permissions?|access|ability|tools?|authori[sz]ation|capability)\b`,
    String.raw`\b(?:not|n['’]t) (?:currently |actually )?(?:allowed|permitted|authori[sz]ed|granted)\b`,
    String.raw`\b(?:is|are|was|seems?|appears?) (?:to be )?(?:currently )?(?:not|n['’]t) (?:currently )?(?:available|enabled|accessible|provided|permitted|allowed|granted|listed)\b`,
    String.raw`\b(?:isn|aren|wasn)['’]t (?:currently |actually )?(?:available|enabled|accessible|provided|permitted|allowed|granted)\b`,
    String.raw`\b(?:is|are) (?:currently )?(?:unavailable|forbidden|disabled)\b`,
    String.raw`\bpermission (?:was |is |has been )?denied\b`,
    // German
    String.raw`\bkeine? (?:\S+ )?(?:berechtigung|erlaubnis|zugriff|zugang|rechte|möglichkeit|werkzeug|tool)`,
    String.raw`\bnicht (?:verfügbar|erlaubt|berechtigt|gestattet|freigegeben|autorisiert|zur verfügung)`,
    // French
    String.raw`n['’]ai pas (?:la |l['’]|les |le |d['’]|de )*(?:permissions?|autorisation|accès|droits?|outils?|possibilité|capacité)`,
    String.raw`ne suis pas (?:autorisée?|habilitée?)`,
    String.raw`n['’]est pas (?:disponible|autorisée?|accessible|activée?|permis)`,
    // Spanish
    String.raw`\bno (?:tengo|dispongo de) (?:los? |la |el |las )?(?:permisos?|acceso|autorización|herramientas?|capacidad|${SPAWN_TOOL})`,
    String.raw`\bno est(?:á|oy|án) (?:disponibles?|permitid|habilitad|autorizad|activad)`,
    // Portuguese
    String.raw`\bnão (?:tenho|possuo) (?:a |o |as )?(?:permiss(?:ão|ões)|acesso|autorização|ferramentas?|capacidade)`,
    String.raw`\bnão est(?:á|ou|ão) (?:disponí|permitid|habilitad|autorizad|ativad)`,
    // Italian
    String.raw`\bnon ho (?:il |l['’]|la |i |gli )?(?:permess[oi]|accesso|autorizzazione|strument[oi]|possibilità|capacità)`,
    String.raw`\bnon (?:è|sono) (?:disponibil|consentit|abilitat|autorizzat|accessibil)`,
    // Dutch
    String.raw`\bgeen (?:toestemming|toegang|rechten|tool|bevoegdheid)`,
    String.raw`\bniet (?:beschikbaar|toegestaan|bevoegd|gemachtigd)`,
    // Polish
    String.raw`nie mam (?:uprawnień|dostępu|zgody|narzędzia|możliwości)`,
    // Russian
    String.raw`нет (?:доступа|разрешения|прав|инструмента|возможности|полномочий)`,
    String.raw`не (?:разрешено|имею (?:доступа|права|разрешения))|недоступ(?:ен|на|но|ны)`,
    // Chinese, Japanese, Korean
    "没有(?:使用)?.{0,24}(?:权限|权利|工具|访问)|无权|不可用|未(?:启用|授权|获授权)|不被允许|沒有.{0,24}(?:權限|工具)|無權",
    "権限(?:が|は)(?:ない|ありません|なく)|利用できません|使用(?:でき|が許可されてい)ません|許可されていません|使えません",
    "권한이 없|사용할 수 없|접근할 수 없|허용되지|이용할 수 없",
  ].join("|"),
  "iu",
);

/** Says that the speaker cannot; for starting children alone. */
const CANNOT = new RegExp(
  [
    String.raw`\bI(?:['’]m| am)? (?:\S+ )?(?:can(?:no|['’])t|can not|cannot|unable to|not able to) (?:directly |actually |currently |really )*(?:spawn|start|create|launch|delegate|use|run|call|access|invoke|open)\b`,
    String.raw`\bich (?:kann|darf) (?:\S+ ){0,4}(?:nicht|keine)\b`,
    String.raw`\b(?:kann|darf) ich (?:\S+ ){0,4}(?:nicht|keine)\b`,
    String.raw`\bje ne (?:peux|puis) pas\b`,
    String.raw`\bno puedo\b`,
    String.raw`\bnão (?:posso|consigo)\b`,
    String.raw`\bnon posso\b|\bnon riesco\b`,
    String.raw`\bik (?:kan|mag) (?:\S+ ){0,4}(?:niet|geen)\b`,
    String.raw`nie mogę`,
    String.raw`я не могу`,
    "我(?:无法|不能|無法)|できません|수 없습니다",
  ].join("|"),
  "iu",
);

const DELEGATION = /\bsub-?\s?agents?\b|\bbackground (?:tasks?|agents?|child(?:ren)?|workers?|sessions?)\b|\bchild (?:agents?|sessions?)\b|\bparallel agents?\b|sub-?agent|unteragent|hintergrund-?(?:aufgabe|agent)|sous-?agent|tâches? en arrière-plan|subagente|agentes? (?:en segundo plano|em segundo plano)|sotto-?agent|subagent|podagent|субагент|фонов|子代理|子智能体|后台(?:任务|代理)|サブエージェント|バックグラウンド|하위 에이전트|서브에이전트/iu;

/** A sentence that speaks of a condition, of children, of somebody else's words or of what was before denies nothing. */
const NO_DENIAL =
  /\b(?:until|unless|once you|if you|before (?:you|i)|without (?:knowing|your|a|more)|children (?:cannot|can['’]t|do)|child (?:cannot|can['’]t|does)|they (?:cannot|can['’]t|do)|no longer|earlier|previously|said|says|reported|told|more than|at the same time|solange|sofern|bevor|wenn du|à moins|avant de|hasta que|a menos|até que|finché|totdat|tenzij)\b|пока|除非|まで/iu;

/**
 * The tool that a reply denies, or null.
 * @param tools  names of the tools that the model has, and has not tried in this turn.
 */
export function deniedTool(reply: string, tools: readonly string[]): string | null {
  for (const sentence of sentencesOf(reply.slice(0, LOOKED_AT_MAX_CHARS))) {
    if (NO_DENIAL.test(sentence)) continue;
    const isMissing = MISSING.test(sentence);
    const isAboutChildren = DELEGATION.test(sentence) && tools.includes(SPAWN_TOOL);
    const named = tools.find((tool) => names(sentence, tool));
    if (named !== undefined && (isMissing || (named === SPAWN_TOOL && CANNOT.test(sentence)))) return named;
    if (named === undefined && isAboutChildren && (isMissing || CANNOT.test(sentence))) return SPAWN_TOOL;
  }
  return null;
}

/** Quoted lines and blocks of code are somebody else's words. */
function sentencesOf(reply: string): readonly string[] {
  return reply
    .replace(/```[\s\S]*?(?:```|$)/g, " ")
    .replace(/^\s*>.*$/gm, " ")
    .split(/[.!?]+(?:\s|$)|[。！？\n;]+/);
}

/** As a name: in quotes of code, or with an underscore; a tool called `read` is not meant by the word. */
function names(sentence: string, tool: string): boolean {
  if (sentence.includes(`\`${tool}\``)) return true;
  if (!tool.includes("_")) return new RegExp(String.raw`\b${tool} tool\b|\btool ${tool}\b`, "i").test(sentence);
  return sentence.includes(tool);
}
