//! Frequent words and distinctive letters of the languages in Latin script.

/// A language, its most frequent words without regard to case, and letters that speak for it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    pub(super) letters: &'static str,
}

/// The languages of the taxonomy that are written in Latin letters.
#[rustfmt::skip]
pub(super) static LATIN: &[Row] = &[
    Row { name: "English", letters: "",
        words: "the of and to in is that for it with was on are as be this by have from or not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may long little very after just where most know get through much before right too any same our also should because between without being such under while why does write give explain using between" },
    Row { name: "French", letters: "œùêûîëçàè",
        words: "le la les de des du et est un une en que qui dans pour pas sur au aux avec ce il elle je vous nous ne se plus par sont mais ou où son sa ses leur leurs cette ces cet comme tout tous être avoir fait faire peut comment quel quelle quels quelles entre sans sous aussi bien même si ont été était après avant très deux votre vos nos notre mon ma mes c'est qu'il d'un d'une l'on chaque combien alors donc car depuis dont moins pendant écrire expliquez" },
    Row { name: "Spanish", letters: "ñ¿¡",
        words: "el la los las de del y es un una en que para por con no se su sus al lo como más pero sus este esta estos estas ese esa son fue ser hay está están muy cuando también qué cómo cuál cuáles quién sobre entre sin hasta desde donde porque todo todos todas otro otra otros yo tú él ella ellos nosotros mi tu nos les le ha han había tiene tienen puede pueden hace hacer si ya cada cuántos cuánto cuántas dos después durante mismo años día una unos unas escribe explica según entonces" },
    Row { name: "Italian", letters: "ìò",
        words: "il lo la i gli le di del della dei degli delle e è un uno una in che per non con su si da dal dalla nel nella nei sono come più ma anche questo questa questi queste quello quella al alla ai alle dello cosa quale quali chi dove quando perché come ha hanno aveva essere avere stato fatto può possono tra fra senza dopo prima molto tutti tutto tutte ogni quanto quanti quante io tu lui lei noi voi loro mio tuo suo sua suoi loro due anni se ci ne cui sia solo così ancora già scrivi spiega" },
    Row { name: "German", letters: "ßäöü",
        words: "der die das und ist in zu den von mit sich des auf für nicht ein eine einen einem einer eines dem im am als auch es an werden aus er hat dass sie nach wird bei um sind noch wie über so zum zur haben nur oder aber vor bis mehr durch man sein wurde war wenn was wer wo warum welche welcher welches ich du wir ihr mein dein ihre ihren kann können gibt diese dieser dieses jeder jede zwischen ohne unter gegen viele viel sehr schon dann hier alle wieviel jahre zwei seine seinem schreibe erkläre" },
    Row { name: "Portuguese", letters: "ãõçâêô",
        words: "o a os as de do da dos das e é um uma em no na nos nas que para por com não se seu sua seus suas ao aos à às como mais mas este esta estes estas esse essa isso são foi ser há está estão muito quando também qual quais quem sobre entre sem até desde onde porque todo todos todas outro outra outros eu você ele ela eles nós meu minha pelo pela pelos pelas num numa ou já pode podem tem têm fazer cada quantos quanto quantas dois duas depois durante mesmo anos dia foram era eram escreva explique então ainda" },
    Row { name: "Polish", letters: "łąężśćźńż",
        words: "i w na z do się nie to jest że o jak po co za od ale czy przez dla przy tym tego są było był była być może tylko już oraz ich jego jej który która które których ten ta te tak lub pod przed między bez także jako gdy gdzie kiedy dlaczego kto ile jeden dwa lat roku bardzo jeszcze mnie mi ja ty on ona my wy oni pan swoje można ze we by nad też więc sobie wszystko ma mają napisz wyjaśnij jaki jakie jaka" },
    Row { name: "Turkish", letters: "ğışİ",
        words: "ve bir bu için ile de da olan olarak çok daha en gibi ne var değil kadar sonra ama ya mi mı o ben sen biz siz onlar her hangi nasıl neden niçin kim nerede zaman kaç iki yıl gün göre arasında tarafından üzerinde içinde ise olduğu oldu olur ki veya hem şu bunu onun bana sana önce şey tüm bütün olduğunu edilen eden yeni ayrıca ancak yaz açıkla" },
    Row { name: "Vietnamese", letters: "ơưđăạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
        words: "và của là có các cho một không những được trong người với này đã để khi từ ra đến cũng như về vào thì lại làm tại sẽ mà năm nhiều tôi anh chị bạn chúng ta họ nó gì nào sao bao nhiêu hãy nếu hoặc nhưng rất trên dưới sau trước theo bằng đó đây vì hơn cách" },
    Row { name: "Dutch", letters: "",
        words: "de het een en van in is dat op te zijn voor met die niet aan er om ook als door bij maar uit naar dan nog of wat wordt werd worden was had heeft hebben dit over tot tegen zich haar hij zij ze wij jullie je jij ik mijn zijn hun ons onze deze kan kunnen meer veel welke hoe waarom wanneer wie waar geen wel zo nu al alle andere zou moet moeten omdat tussen zonder onder na twee jaar men der mij hem toen daar weer heel schrijf leg uitleg hoeveel" },
    Row { name: "Czech", letters: "řěůčťďň",
        words: "a v na se je že to z do s o i k ve pro jako ale by za od po si tak jak jsou byl byla bylo být není jeho její jejich který která které kteří co kdy kde proč kdo kolik nebo už jen při také ještě až mezi bez pod nad před podle ten ta tento tato toto všechny všech mé můj já ty on ona my vy oni mi mě ho jsem jsme máte má může lze však pokud rok let dva tím ze aby když pouze napište vysvětli jaký jaké jaká" },
    Row { name: "Indonesian", letters: "",
        words: "yang dan di ini itu dengan untuk dari dalam pada adalah ke tidak akan juga oleh sebagai karena ada bisa dapat atau saya anda kamu kami kita mereka dia ia telah sudah lebih seperti tersebut bagi antara secara setelah ketika saat tahun hari orang satu dua apa bagaimana mengapa siapa kapan berapa mana hanya namun tetapi jika maka serta para hingga masih banyak setiap semua lain menjadi harus belum sangat tentang memiliki merupakan tanpa sebuah seorang buatlah jelaskan tulis" },
    Row { name: "Romanian", letters: "ășțşţ",
        words: "și în de la cu a al ale ai pe un o care din este nu să că se mai pentru sunt ce cum fi fost era sau prin după dar ca acest această aceste acești acel cel cea cei cele lui lor sa său sale fiecare când unde cine câte câți cât între fără sub despre foarte toate toți tot alte eu tu el ea noi voi ei meu mea lucru ani doi două are au avea poate dacă doar numai şi într-o într-un dintre până asupra unei unor unui scrie explică deci iar" },
];
