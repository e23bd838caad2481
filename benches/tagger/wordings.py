"""What labels mean to the taggers, and requests worded by us."""

# Subject of MMLU → domain.
SUBJECTS = {
    name: domain
    for domain, names in {
        "Math": "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics high_school_statistics formal_logic",
        "Sciences": "astronomy college_biology college_chemistry college_physics conceptual_physics high_school_biology high_school_chemistry high_school_physics",
        "Medical": "anatomy clinical_knowledge college_medicine human_aging human_sexuality medical_genetics nutrition professional_medicine virology",
        "Legal": "international_law jurisprudence professional_law",
        "Finance": "econometrics high_school_macroeconomics high_school_microeconomics professional_accounting marketing management business_ethics",
        "Technology": "college_computer_science computer_security electrical_engineering high_school_computer_science machine_learning",
        "SocialSciences": "high_school_geography high_school_government_and_politics high_school_psychology professional_psychology public_relations security_studies sociology us_foreign_policy",
        "Culture": "high_school_european_history high_school_us_history high_school_world_history philosophy prehistory world_religions moral_disputes logical_fallacies",
        "Unspecified": "global_facts miscellaneous moral_scenarios",
    }.items()
    for name in names.split()
}

# Category of TruthfulQA → domain; the others say nothing of a field.
TRUTHFUL = {
    name: domain
    for domain, names in {
        "Legal": ["Law"],
        "Medical": ["Health", "Nutrition"],
        "Finance": ["Economics", "Finance"],
        "SocialSciences": ["Sociology", "Psychology", "Politics"],
        "Culture": ["Fiction", "History", "Myths and Fairytales", "Religion", "Language"],
        "Sciences": ["Science", "Weather"],
    }.items()
    for name in names
}

# Template of P3 → task, domain.
TEMPLATES = {
    "duorc_SelfRC_question_answering": ("QuestionAnswering", "Culture"),
    "duorc_SelfRC_answer_question": ("QuestionAnswering", "Culture"),
    "duorc_ParaphraseRC_extract_answer": ("InformationExtraction", "Culture"),
    "duorc_SelfRC_extract_answer": ("InformationExtraction", "Culture"),
    "duorc_SelfRC_build_story_around_qa": ("CreativeWriting", None),
    "duorc_SelfRC_title_generation": ("Summarization", "Culture"),
    "quoref_Read_And_Extract_": ("InformationExtraction", None),
    "quoref_What_Is_The_Answer": ("QuestionAnswering", None),
    "quoref_Guess_Title_For_Context": ("Summarization", None),
    "ropes_plain_no_background": ("QuestionAnswering", "Sciences"),
    "ropes_given_background_situation": ("QuestionAnswering", "Sciences"),
    "cosmos_qa_context_answer_to_question": ("QuestionAnswering", "Unspecified"),
    "cosmos_qa_no_prompt_text": ("QuestionAnswering", "Unspecified"),
    "qasc_qa_with_combined_facts_1": ("QuestionAnswering", "Sciences"),
    "qasc_qa_with_separated_facts_1": ("QuestionAnswering", "Sciences"),
    "qasc_is_correct_1": ("Classification", "Sciences"),
    "qasc_is_correct_2": ("Classification", "Sciences"),
    "quarel_logic_test": ("Reasoning", "Sciences"),
    "quarel_heres_a_story": ("Reasoning", "Sciences"),
    "quartz_answer_question_based_on": ("QuestionAnswering", "Sciences"),
    "quartz_read_passage_below_choose": ("QuestionAnswering", "Sciences"),
    "kilt_tasks_hotpotqa_straighforward_qa": ("QuestionAnswering", None),
    "kilt_tasks_hotpotqa_complex_question": ("QuestionAnswering", None),
    "wiki_hop_original_generate_object": ("InformationExtraction", None),
    "dbpedia_14_pick_one_category_for_the_following_text": ("Classification", None),
    "dbpedia_14_given_a_choice_of_categories_": ("Classification", None),
    "paws_labeled_final_Meaning": ("Classification", None),
    "paws_labeled_final_Concatenation": ("Classification", None),
    "paws_labeled_final_Rewrite": ("Classification", None),
    "paws_labeled_final_paraphrase_task": ("Rewrite", None),
    "common_gen_Example_prompt": ("CreativeWriting", "Unspecified"),
    "common_gen_Put_together": ("CreativeWriting", "Unspecified"),
    "common_gen_sentence_to_concepts": ("InformationExtraction", "Unspecified"),
}

# Program that a request of self-instruct was written for → task, domain.
APPS = {
    "Grammarly": ("Rewrite", None),
    "ludwig.guru": ("Rewrite", None),
    "Leetcode": ("CodeGeneration", "Code"),
    "GeeksforGeeks": (None, "Code"),
    "StackOverflow": (None, "Code"),
    "Github": (None, "Code"),
    "w3schools": (None, "Code"),
    "Wolfram alpha": ("Reasoning", "Math"),
    "(Wolfram alpha)?": ("Reasoning", "Math"),
    "Explainpaper": ("Explanation", None),
    "merriam-webster.com": ("Explanation", "Culture"),
    "IMDB": (None, "Culture"),
    "Netflix": (None, "Culture"),
    "Goodreads": (None, "Culture"),
    "Spotify": (None, "Culture"),
    "Wysa": (None, "Medical"),
    "National Geographic": (None, "Sciences"),
}

# Requests around code and pairs of sentences.
REQUESTS = {
    "CodeFix": [
        "Fix the bug in this function:\n{text}",
        "{text}\nThe tests below fail. Find the mistake and correct the code.\n{test}",
        "There is an error in my code, what is wrong with it?\n\n{text}",
        "This program does not do what it should. Debug it.\n```\n{text}\n```",
        "Why does this return the wrong result? Please repair it:\n{text}",
    ],
    "CodeExplanation": [
        "What does this code do?\n{text}",
        "Explain the following function step by step.\n\n{text}",
        "{text}\n\nDescribe in plain words what happens here.",
        "Write documentation for this function:\n```\n{text}\n```",
        "Walk me through this code line by line.\n{text}",
    ],
    "CodeTranslation": [
        "Translate this function to {language}:\n{text}",
        "Convert the code below into {language}.\n\n{text}",
        "{text}\n\nPort this to {language}, please.",
        "Rewrite the following program in {language}:\n```\n{text}\n```",
        "How would this look in {language}?\n{text}",
    ],
    "Inference": [
        "Premise: {text}\nHypothesis: {other}\nDoes the premise entail, contradict, or leave open the hypothesis?",
        "Classify the relation of the two sentences as entailment, neutral or contradiction.\n1. {text}\n2. {other}",
        "\"{text}\" Given this, is it true, false or undecided that \"{other}\"?",
    ],
}

# Requests around texts and topics.
LANGUAGES = {
    "Summarization": {
        "en": ["Summarize the following text.\n\n{text}", "{text}\n\nTL;DR", "Give me the main points of this article in three sentences:\n{text}",
               "Condense this passage into one paragraph.\n{text}", "What is the gist of the text below?\n\n{text}", "Write a short abstract of this:\n{text}",
               "{text}\n\nSum this up briefly.", "Please shorten this report to its key findings:\n{text}"],
        "de": ["Fasse den folgenden Text zusammen:\n{text}", "{text}\n\nWas sind die wichtigsten Punkte? Kurze Zusammenfassung bitte."],
        "fr": ["Résume le texte suivant :\n{text}", "{text}\n\nDonne-moi les points essentiels en deux phrases."],
        "es": ["Resume el siguiente texto:\n{text}", "{text}\n\nHaz un breve resumen de las ideas principales."],
        "ja": ["次の文章を要約してください。\n{text}", "{text}\n\n要点を一文でまとめてください。"],
        "ru": ["Кратко изложи следующий текст:\n{text}", "{text}\n\nПеречисли главные мысли в двух предложениях."],
        "zh": ["请总结以下文字:\n{text}", "{text}\n\n用一句话概括要点。"],
    },
    "Rewrite": {
        "en": ["Rewrite this in a more formal tone:\n{text}", "Paraphrase the following paragraph.\n\n{text}", "Correct the grammar and spelling mistakes in this text:\n{text}",
               "{text}\n\nMake this clearer and more concise without changing its meaning.", "Rephrase the sentences below in simpler words.\n{text}",
               "Edit this paragraph so that it reads better:\n{text}", "Turn this into the past tense.\n{text}", "Proofread the following text and fix errors:\n{text}"],
        "de": ["Formuliere den folgenden Text um:\n{text}", "Korrigiere Grammatik und Rechtschreibung:\n{text}"],
        "fr": ["Reformule le texte suivant :\n{text}", "Corrige les fautes de ce texte :\n{text}"],
        "es": ["Reescribe el siguiente texto con otras palabras:\n{text}", "Corrige la gramática de este texto:\n{text}"],
        "ja": ["次の文章を丁寧に書き直してください。\n{text}", "文法の誤りを直してください。\n{text}"],
        "ru": ["Перефразируй следующий текст:\n{text}", "Исправь ошибки в тексте:\n{text}"],
        "zh": ["请改写以下文字:\n{text}", "请修改这段话的语法错误:\n{text}"],
    },
    "InformationExtraction": {
        "en": ["List all the names of people mentioned in this text:\n{text}", "Extract the dates and places from the following passage as JSON.\n\n{text}",
               "{text}\n\nWhich organisations are named above? Give them as a list.", "Find every number in the text and say what it counts.\n{text}",
               "Identify the named entities in this paragraph:\n{text}", "Pull out the keywords of the article below.\n{text}",
               "From the following reviews, extract the name, the price and the rating in CSV format.\n{text}", "Extract the answer from the text: who, when, where?\n{text}"],
        "de": ["Nenne alle Zahlen und Namen, die im Text vorkommen:\n{text}", "Extrahiere Personen und Orte als Liste:\n{text}"],
        "fr": ["Liste tous les noms et les nombres du texte :\n{text}", "Extrais les personnes et les lieux :\n{text}"],
        "es": ["Enumera los nombres y números que aparecen en el texto:\n{text}", "Extrae las personas y lugares:\n{text}"],
        "ja": ["文中の人名と数字をすべて抜き出してください。\n{text}"],
        "ru": ["Выпиши все имена и числа из текста:\n{text}"],
        "zh": ["提取文中所有的人名和数字:\n{text}"],
    },
    "Classification": {
        "en": ["Is the following text positive, negative or neutral?\n{text}", "Which of these categories fits best: sports, politics, science, culture?\n\n{text}",
               "{text}\n\nIs this fact or opinion? Answer with one word.", "Classify the topic of this article.\n{text}", "Decide whether the text below is spam or not.\n{text}",
               "Label the sentiment of this review:\n{text}", "Does the paragraph describe a person, a place or an event?\n{text}", "Assign one of the labels A (true), B (false), C (unclear).\n{text}"],
        "de": ["Ist der folgende Text positiv, negativ oder neutral?\n{text}", "Zu welcher Kategorie gehört der Text: Sport, Politik, Alltag?\n{text}"],
        "fr": ["Le texte suivant est-il positif, négatif ou neutre ?\n{text}", "À quelle catégorie appartient ce texte : sport, politique, quotidien ?\n{text}"],
        "es": ["¿El siguiente texto es positivo, negativo o neutro?\n{text}", "¿A qué categoría pertenece: deporte, política, vida diaria?\n{text}"],
        "ja": ["次の文は肯定的ですか、否定的ですか、中立ですか。\n{text}"],
        "ru": ["Текст положительный, отрицательный или нейтральный?\n{text}"],
        "zh": ["以下文字是正面、负面还是中性?\n{text}"],
    },
    "Translation": {
        "en": ["Translate into {language}: {text}", "Translate the following sentence to {language}.\n\n{text}", "{text}\n\nHow do you say this in {language}?",
               "Give me a {language} translation of this text:\n{text}", "I need this in {language}: {text}"],
        "de": ["Übersetze ins Englische: {text}"], "fr": ["Traduis en anglais : {text}"], "es": ["Traduce al inglés: {text}"],
        "ja": ["英語に翻訳してください。\n{text}"], "ru": ["Переведи на английский: {text}"], "zh": ["请翻译成英文:{text}"],
    },
    "Explanation": {
        "en": ["Explain {text} to me.", "What is {text} and how does it work?", "How does {text} work? Explain it in simple terms.", "Describe the difference between {text} and related ideas.",
               "Why is {text} important?", "Can you explain the basics of {text} with an example?", "Give a detailed overview of {text}.", "Define {text}."],
        "de": ["Erkläre mir {text}.", "Was ist {text} und wie funktioniert das?"], "fr": ["Explique-moi {text}.", "Qu'est-ce que {text} et comment ça marche ?"],
        "es": ["Explícame {text}.", "¿Qué es {text} y cómo funciona?"], "ja": ["{text}について説明してください。", "{text}とは何ですか。どのような仕組みですか。"],
        "ru": ["Объясни, что такое {text}.", "Как работает {text}?"], "zh": ["请解释{text}。", "什么是{text}?它是如何运作的?"],
    },
    "CreativeWriting": {
        "en": ["Write a short story about {text}.", "Compose a poem on {text}.", "Write a blog post about {text} with a surprising ending.", "Imagine you are {text}. Write a diary entry.",
               "Write the opening scene of a novel in which {text} plays a part.", "Make up a fairy tale with {text} in it.", "Write a song about {text}.", "Draft a funny speech about {text}."],
        "de": ["Schreibe eine kurze Geschichte über {text}.", "Dichte ein Gedicht über {text}."], "fr": ["Écris une courte histoire sur {text}.", "Compose un poème sur {text}."],
        "es": ["Escribe un cuento sobre {text}.", "Compón un poema sobre {text}."], "ja": ["{text}についての短い物語を書いてください。", "{text}の詩を書いてください。"],
        "ru": ["Напиши короткий рассказ про {text}.", "Сочини стихотворение про {text}."], "zh": ["写一个关于{text}的短篇故事。", "写一首关于{text}的诗。"],
    },
    "OpenEnded": {
        "en": ["What do you think about {text}?", "Give me some ideas for a project on {text}.", "Any tips on {text}?", "Suggest five books about {text}.", "Let us talk about {text}.", "How can I get better at {text}?"],
        "de": ["Was hältst du von {text}?", "Hast du Tipps zu {text}?"], "fr": ["Que penses-tu de {text} ?", "Des conseils sur {text} ?"],
        "es": ["¿Qué opinas de {text}?", "¿Algún consejo sobre {text}?"], "ja": ["{text}についてどう思いますか。"], "ru": ["Что ты думаешь про {text}?"], "zh": ["你对{text}有什么看法?"],
    },
}
